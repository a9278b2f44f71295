"""Profiles: one file with every setting of an experiment, checked when it is read.

``load("emoji", {"pretraining.batch": 64})`` reads ``profiles/emoji.yaml``, merged over the profile
it ``extends`` and under the overrides. Mappings are merged, lists replaced; an unknown key, a wrong
type or a cycle is an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from blurpaper.runs import CANONICAL
from blurpaper.runs.files import PROFILES, UserError


class ProfileError(UserError):
    """A profile that cannot be used, in one sentence."""


class Section(BaseModel):
    """A part of a profile: unknown keys and wrong types are errors."""

    model_config = ConfigDict(frozen=True, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _known(cls, fields: object) -> object:
        known = list(cls.model_fields)
        for name in fields if isinstance(fields, dict) else ():
            if name not in known:
                meant = _meant(name, known) or f"; there are {', '.join(known)}."
                raise ValueError(name, f"no such field{meant}")
        return fields


Positive = Annotated[int, Field(gt=0)]


class Emoji(Section):
    """Size of the embedded data."""

    classes: Annotated[int, Field(ge=2, le=100)]
    train: Positive
    test: Positive
    side: Positive
    seed: int


class Protocol(Section):
    """Pixels of this profile for the paper's scales 384, 128, 256 and 512 (Sec. 3) and for the
    network's field.
    """

    canonical: Positive
    scales: dict[Literal["128", "256", "512"], Positive]
    jitter: Annotated[list[Positive], Field(min_length=1)]
    field: Positive

    @model_validator(mode="after")
    def _consistent(self) -> Protocol:
        if missing := {"128", "256", "512"} - set(self.scales):
            raise ValueError(f"no pixels for the scale {min(missing)}")
        small = self.scales["256"] * min(self.jitter) / CANONICAL
        if round(small) < self.field:
            raise ValueError(
                f"at scale 256 the smallest training image is {small:.0f} px, less than the field "
                f"of {self.field} px that training crops"
            )
        return self

    def pixels(self, name: str) -> int:
        """Smaller side, in pixels, of the network input for one of the paper's scales."""
        if name not in self.scales:
            raise ProfileError(f"a scale is one of {', '.join(self.scales)}. Got {name!r}.")
        return self.scales[name]


class Phase(Section):
    """Some epochs at one learning rate, or on a line from ``rate`` to ``end_rate``."""

    epochs: Positive
    rate: Annotated[float, Field(ge=0)]
    end_rate: Annotated[float, Field(ge=0)] | None = None


class Schedule(Section):
    """Training in phases, by stochastic gradient descent with momentum unless another optimizer is
    named.
    """

    phases: Annotated[list[Phase], Field(min_length=1)]
    batch: Positive
    optimizer: Literal["sgd", "adamw"] = "sgd"
    momentum: Annotated[float, Field(ge=0, lt=1)] | None = None
    beta1: Annotated[float, Field(ge=0, lt=1)] | None = None
    weight_decay: Annotated[float, Field(ge=0)]
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    flip: bool = True
    freeze_batch_norm: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Schedule:
        own, other = ("momentum", "beta1") if self.optimizer == "sgd" else ("beta1", "momentum")
        if getattr(self, own) is None or getattr(self, other) is not None:
            raise ValueError(f"{self.optimizer} takes {own}, and {other} is null")
        return self


class Pretraining(Schedule):
    """Training from scratch on sharp images, for ``original`` where no weights can be had."""

    train_scale: str


class Finetuning(Schedule):
    """Fine-tuning on a mix (Sec. 4), and the number of batches from which statistics of batch
    normalisation are re-estimated.
    """

    batch_norm_batches: Positive
    train_set: str | None = None
    """That of the profile if null."""


class Agreement(Schedule):
    """Fine-tuning without labels, on images of its own; ``feature_weight`` is the weight of the
    last features in the loss.
    """

    train_set: str
    feature_weight: Annotated[float, Field(ge=0)]


class Evaluation(Section):
    """Networks, conditions and scales of the experiments on recognition."""

    test_sets: list[str]
    class_restricted_sets: list[str]
    """Test sets on which networks are also measured among the set's own classes alone."""
    original_conditions: list[str]
    original_scales: list[Literal["128", "256", "512", "256+512"]]
    finetuned_networks: list[str]
    """Networks of Table 3 as MIX[/RECIPE][#SEED], all at scale 256."""
    finetuned_conditions: list[str]
    """Of the networks of Table 3; those from further seeds are measured under ``scale_conditions``.
    """
    scale_conditions: list[str]
    """Conditions of Table 4, at each of the scales."""
    second_model: str
    """The other architecture, of Table A."""
    second_conditions: list[str]
    global_pooling_model: str | None
    """A second row of Table 1."""
    released_network: str | None
    """As MIX[/RECIPE]."""
    invariance_networks: list[str]
    invariance_conditions: list[str]
    batch: Positive
    images_per_shard: Positive
    """Bounds the memory, and the work that a killed run loses."""
    bootstrap: Positive


class DensityPart(Section):
    """Networks, as MIX[/RECIPE][#SEED], that are fine-tuned on so many images of each class."""

    labelled: Positive
    networks: list[str]


class Density(Section):
    """Fine-tuning on a few labelled images of each class, and without labels on the same ones."""

    data: str
    """A set of labelled images, to train and to test on."""
    parts: list[DensityPart]
    finetuning: Finetuning | None
    """The schedule, with labels and without; that of the profile if null."""


class Adaptation(Section):
    """Adaptation to the images of the first test set, beside fine-tuned networks."""

    model: str
    """With batch normalisation."""
    networks: list[str]
    """Fine-tuned networks, as MIX[/RECIPE][#SEED]."""
    images: Positive
    """At most so many of the test set."""
    seeds: Positive
    """Orders in which the images come."""


class Prior(Section):
    """EPLL's Gaussian mixture model of patches, and the images that it is learnt from."""

    images: str
    """A set of images (its training images; the test images are held out), or the path of a folder
    (a tenth is held out).
    """
    components: Positive
    patches: Positive
    passes: Positive
    batch: Positive
    held_out_patches: Positive


class Deblurring(Section):
    """Deblurring before recognition (Sec. 4.4)."""

    psf: str
    prior: Prior
    methods: list[str]
    networks: list[str]
    """Fine-tuned networks, as MIX[/RECIPE], that classify the blurred image instead."""
    n_images: Positive | None
    """Test images, spread over the classes; all if null. The paper takes ten of each class."""
    n_camera: Positive
    """Images in a camera's frame."""
    n_exact: Positive
    """Images on which exact EPLL is compared."""
    wrong_psfs: list[str]
    noise_sweep: list[Annotated[float, Field(gt=0)]]
    """Assumed noises with the true PSF, in grey levels."""
    assumed_noises: list[Annotated[float, Field(gt=0)]]
    """With each of the PSFs, besides that of rounding, in grey levels."""
    n_ablation: Positive
    """Images on which wrong PSFs and assumed noises are tried."""
    shaken: str | None
    """Folder of shaken photographs below the data folder; none if null, or if it is not there."""


class Scenes(Section):
    """Size of the embedded scenes; every other one stands upright."""

    train: Positive
    test: Positive
    width: Positive
    height: Positive
    seed: int


class Segmentation(Section):
    """A label for every pixel (Sec. 5), by a classifier on all stages of the profile's model."""

    data: str
    """A set with label maps, its training scenes to learn from and its test scenes to be scored on.
    """
    scenes: Scenes
    hidden_units: Positive
    stride: Positive
    """Pixels between the places at which a whole scene is classified."""
    crop: Annotated[int, Field(ge=32)]
    """Side, in pixels, of the crops that are learnt from."""
    pixels_per_crop: Positive
    head_lr_scale: Annotated[float, Field(gt=0)]
    """Learning rate of the per-pixel classifier, relative to that of the model below it."""
    pretraining: Schedule
    """On sharp scenes, from the classification network to ``original``."""
    finetuning: Schedule
    networks: list[str]
    """Mixes that the original is fine-tuned on."""
    conditions: list[str]
    boundary_distance: Annotated[float, Field(gt=0)]
    """Largest distance to a change of label, in pixels of the label map, of a pixel near a
    boundary.
    """


class Compute(Section):
    """Where to compute, how precisely, and how often to save."""

    device: Literal["auto", "cpu", "cuda"]
    precision: Literal["bfloat16", "float32"]
    checkpoint_seconds: Positive


class Profile(Section):
    """Everything; see each section."""

    name: str
    title: str
    model: str
    train_set: str
    emoji: Emoji
    protocol: Protocol
    pretraining: Pretraining | None
    finetuning: Finetuning
    agreement: Agreement
    evaluation: Evaluation
    density: Density
    adaptation: Adaptation
    deblurring: Deblurring
    segmentation: Segmentation
    compute: Compute
    seed: int


def names() -> list[str]:
    """The profiles that come with the library.

    >>> names()
    ['emoji', 'imagenet', 'photos', 'smoke']
    """
    return sorted(path.stem for path in PROFILES.glob("*.yaml"))


def load(name: str, overrides: Mapping[str, Any] | None = None) -> Profile:
    """A profile by name, or by the path of a YAML file, with overrides (``{"protocol.canonical":
    96}``).

    Raises:
        ProfileError: one sentence that says what is wrong, in which profile and field.

    >>> load("photos", {"protocol.canonical": 192}).protocol.canonical
    192
    """
    fields = name.model_dump() if isinstance(name, Profile) else _merged(str(name), ())
    if not isinstance(overrides, Mapping):
        overrides = parse_overrides(overrides or ())
    for dotted, value in overrides.items():
        _set(fields, dotted, value)
    fields.setdefault("name", Path(str(name)).stem)
    try:
        return Profile.model_validate(fields)
    except ValidationError as error:
        problem = error.errors()[0]
        where, what = problem["loc"], problem["msg"].removeprefix("Value error, ") + "."
        if problem["type"] not in ("missing", "value_error"):
            what += f" Got {problem['input']!r}."
        of = getattr(problem.get("ctx", {}).get("error"), "args", ())
        if len(of) == 2:  # a field that there is not
            where, what = (*where, of[0]), of[1]
        place = ".".join(map(str, where)) or "the whole"
        raise ProfileError(f"profile {name!r}, {place}: {what}") from None


def parse_overrides(pairs: list[str] | tuple[str, ...]) -> dict[str, Any]:
    """Overrides from the command line: ``["seed=3", "protocol.jitter=[384]"]``; values are read as
    YAML.

    >>> parse_overrides(["seed=3", "protocol.jitter=[384]"])
    {'seed': 3, 'protocol.jitter': [384]}
    """
    overrides = {}
    for pair in pairs:
        dotted, equals, value = pair.partition("=")
        if not equals or not dotted.strip():
            raise ProfileError(f"an override is dotted.field=value. Got {pair!r}.")
        try:
            overrides[dotted.strip()] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ProfileError(f"the value of an override is YAML. Got {pair!r}.") from None
    return overrides


def _merged(name: str, children: tuple[str, ...]) -> dict[str, Any]:
    if name in children:
        raise ProfileError(
            f"profiles extend one another in a circle: {' -> '.join((*children, name))}."
        )
    is_path = name.endswith((".yaml", ".yml"))
    path = Path(name) if is_path else PROFILES / f"{name}.yaml"
    if not path.is_file():
        raise ProfileError(
            f"no profile {name!r}; there are {', '.join(names())}{_meant(name, names()) or '.'}"
        )
    try:
        own = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ProfileError(f"profile {path} is not YAML: {str(error).splitlines()[0]}.") from None
    if not isinstance(own, dict):
        raise ProfileError(f"profile {path} must be a mapping of fields. Got {type(own).__name__}.")
    parent = own.pop("extends", None)
    if parent is None:
        return own
    if not isinstance(parent, str):
        raise ProfileError(f"profile {path}, extends: the name of one profile. Got {parent!r}.")
    base = _merged(parent, (*children, name))
    base.pop("name", None)
    return _merge(base, own)


def _merge(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in own.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _set(fields: dict[str, Any], dotted: str, value: object) -> None:
    *sections, last = dotted.split(".")
    for section in sections:
        if not isinstance(fields.get(section), dict):
            raise ProfileError(
                f"override {dotted!r}: no section {section!r}{_meant(section, fields) or '.'}"
            )
        fields = fields[section]
    fields[last] = value


def _meant(name: object, known: Iterable[object]) -> str:
    near = get_close_matches(str(name), map(str, known))
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
