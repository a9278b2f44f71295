"""Any image classifier as a network: of timm, of torchvision, of a user's function, or a module in
memory.

An origin is named ``timm/NAME``, ``torchvision/NAME`` or ``package.module.function``. A function is
called only if the user names it: one that a file names is never imported. A module that
takes images of any size is given them whole; one of a fixed size, such as a vision transformer, is
given the centre of each image, at whatever scale the protocol brought the image to.
"""

from __future__ import annotations

import copy
import difflib
import hashlib
import io
import math
import pkgutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from blurpaper.data.sets import imagenet_names
from blurpaper.networks import MODELS, files
from blurpaper.networks.base import IMAGENET_MEAN, IMAGENET_STD, Classifier, WeightsError
from blurpaper.networks.files import explained
from blurpaper.networks.reference import NetworkSpec, Reference
from blurpaper.runs import fingerprint
from blurpaper.runs.files import UserError, names_of, number_of, numbers_of
from blurpaper.runs.store import sha256_of

FIELD = 224
"""Side of the crops that most classifiers were trained on, in pixels."""

_ADVICE = "check the connection, or give them as a file (--weights FILE.safetensors)"


class External(Classifier):
    """A module as a classifier; its features are the last output of a part that has positions.

    Args:
        module: gives logits ``(B, K)``, or an object that has them as ``logits``, for normalised
            RGB ``(B, 3, H, W)``.
        name: for messages.
        field: side of its training crops, in pixels.
        mean, std: of its normalisation, per channel or one for all, grey levels from 0 to 1.
        classes: their names; by default ImageNet's if there are a thousand, else the subfolders of
            ``folder`` if there are as many, else numbers.

    Attributes:
        fixed: whether it takes images of its field's size alone, and is given the centre of larger
            ones.

    Raises:
        WeightsError: if it cannot be applied to images of its field's size, has parameters without
            values, or does not return logits.
    """

    def __init__(
        self,
        module: nn.Module,
        name: str,
        field: int = FIELD,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        classes: Sequence[str] = (),
        folder: Path | None = None,
    ) -> None:
        three = [found * 3 if len(found) == 1 else found for found in map(numbers_of, (mean, std))]
        known = all(len(one) == 3 and all(0 <= level <= 1 for level in one) for one in three)
        if not known or min(three[1]) == 0:
            raise WeightsError(
                f"{name} needs a mean and a standard deviation for each of three channels, of grey "
                f"levels from 0 to 1 (divide those of 0 to 255 by 255). Got {mean} and {std}."
            )
        if number_of(field) not in range(1, 4097):
            raise WeightsError(f"{name} needs a field of 1 to 4096 whole pixels. Got {field!r}.")
        field, (mean, std) = int(field), ([255 * value for value in one] for one in three)
        super().__init__((), field, mean, std)
        tensors = [*module.parameters(), *module.buffers()]
        if any(is_lazy(one) or one.is_meta for one in tensors):
            raise WeightsError(f"{name} has parameters without values: load its weights first.")
        self.module, self.name, self.fixed = module, name, False
        self.dtype = next((one.dtype for one in tensors if one.is_floating_point()), torch.float32)
        self.quantised = any(".quantized" in type(one).__module__ for one in module.modules())
        self.to(next(iter(tensors), self.mean).device).eval()
        with torch.no_grad():
            count = self._logits(self.mean.new_zeros(1, 3, field, field)).shape[1]
            try:
                self._logits(self.mean.new_zeros(1, 3, field + 5, field + 37))
            except WeightsError:
                self.fixed = True
        given = () if classes is None else names_of("classes", classes)
        self.classes = tuple(given or _class_names(count, folder))
        if (different := len(set(self.classes))) != count or len(self.classes) != count:
            raise WeightsError(
                f"{name} needs {count:,} class names, each once. Got {len(self.classes):,}, "
                f"{different:,} of them different."
            )

    @property
    def stored(self) -> nn.Module:
        return self.module

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self._logits(self.normalised(images))

    def features_and_logits(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The last output of a part that has positions, ``(B, C, h, w)`` or tokens ``(B, N, C)``,
        else the logits; and logits ``(B, K, 1, 1)``.
        """
        found: list[torch.Tensor] = []

        def note(_: nn.Module, __: object, output: object) -> None:
            shape = output.shape if isinstance(output, torch.Tensor) else ()
            positions = {3: shape[1:2], 4: shape[2:]}.get(len(shape), ())
            if math.prod(positions) > 1:
                found[:] = [output]

        scripted = torch.jit.ScriptModule  # which takes no hooks
        parts = [part for part in self.module.modules() if not isinstance(part, scripted)]
        handles = [part.register_forward_hook(note) for part in parts]
        try:
            logits = self._logits(inputs)
        finally:
            for handle in handles:
                handle.remove()
        return (found or [logits])[0], logits

    def _logits(self, inputs: torch.Tensor) -> torch.Tensor:
        if self.fixed:
            top, left = (max(0, (side - self.field) // 2) for side in inputs.shape[-2:])
            inputs = inputs[..., top : top + self.field, left : left + self.field]
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        height, width = inputs.shape[-2:]
        own = torch.autocast(inputs.device.type, enabled=False) if self.quantised else nullcontext()
        what = f"{self.name}, made for {self.field} x {self.field} pixels, cannot be applied to"
        what, advice = f"{what} RGB images of {height} x {width}", "choose a field and scales"
        with own, explained(what, f"{advice} that it takes"):
            output = self.module(inputs.to(self.dtype))
            logits = getattr(output, "logits", output)  # some have auxiliary outputs beside them
            if logits.ndim != 2:
                raise ValueError(f"it must give logits (B, K). Got {tuple(logits.shape)}")
        return logits[:, :, None, None]


def _class_names(count: int, folder: Path | None) -> Sequence[str]:
    if count == len(imagenet_names()):
        return imagenet_names()
    found = []
    if folder and folder.is_dir():
        found = sorted(path.name for path in folder.iterdir() if path.is_dir())
    return found if len(found) == count else [str(number) for number in range(count)]


@dataclass(frozen=True)
class ExternalNetwork(Reference):
    """A network from elsewhere.

    Attributes:
        network: the network itself, of which :meth:`load` returns copies.
        weights: the file of its tensors, if they did not come with the origin.
    """

    network: External = field(kw_only=True)
    weights: Path | None = field(default=None, kw_only=True)

    def load(self, plain: bool = False) -> External:
        return copy.deepcopy(self.network)

    @property
    def classes(self) -> Sequence[str]:
        return self.network.classes

    @property
    def own_field(self) -> int:
        return self.network.field

    @property
    def description(self) -> str:
        """Classes, size and normalisation of its training images, and how it is applied."""
        of, side = self.network, f"{self.network.field} x {self.network.field} pixels"
        mean, std = ((one.flatten() / 255).cpu().numpy().round(3) for one in (of.mean, of.std))
        known = "" if of.classes[0] != "0" else " without names (--classes FILE gives them)"
        seen = f"the central {side}" if of.fixed else "whole images"
        return (
            f"{self}, {len(of.classes):,} classes{known}, made for {side}, mean {mean}, "
            f"standard deviation {std}; applied to {seen}"
        )

    @cached_property
    def identity(self) -> str:
        """A hash of weights, structure, normalisation, and the files that define its layers and the
        user's function.
        """
        module = self.network.module
        names = {type(part).__module__ for part in module.modules()}
        names.add(self.model.rpartition(".")[0])
        code = {getattr(sys.modules.get(name), "__file__", None) for name in names} - {None}
        said = [
            *sorted(sha256_of(Path(file)) for file in code),
            *(self.network.field, self.network.mean.tolist(), self.network.std.tolist(), module),
            fingerprint.fingerprint([External.__module__]),
        ]
        digest = hashlib.sha256(repr(said).encode())
        for name, tensor in sorted(module.state_dict().items()):
            if not isinstance(tensor, torch.Tensor) or tensor.is_quantized:  # or a further state
                what = f"the state {name} of {self} cannot be written"
                with explained(what, "keep to tensors, numbers and text in a state"):
                    torch.save(tensor, content := io.BytesIO())
                digest.update(name.encode() + content.getvalue())
                continue
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
        return f"external {digest.hexdigest()}"

    def __str__(self) -> str:
        return self.model if self.weights is None else f"{self.model} ({self.weights.name})"


def external(
    origin: str,
    folder: Path | None = None,
    weights: Path | str | None = None,
    **said: Any,  # noqa: ANN401 (what External takes)
) -> ExternalNetwork:
    """The network of an origin.

    Args:
        weights: a .safetensors file with a state dict; by default the origin's own.
        said: ``classes``, ``field``, ``mean`` and ``std`` of :class:`External`; by default those
            of its library, or of the file of weights if it was written here.

    Raises:
        WeightsError: if it is not to be had, saying what and from where.
    """
    spec, known, weights = NetworkSpec(origin), {}, Path(weights) if weights else None
    if weights and "network" in files.metadata(weights):
        header = files.Header.of(weights)
        spec = header.network
        if spec.model != origin:
            raise WeightsError(f"{weights} holds weights of {spec.model}, not of {origin}.")
        mean, std = ([value / 255 for value in of] for of in (header.mean, header.std))
        known = {"classes": header.classes, "field": header.field, "mean": mean, "std": std}
    module, usual = _made(origin, weights)
    network = External(module, origin, **usual | known | said, folder=folder)
    return ExternalNetwork(**vars(spec), network=network, weights=weights)


# --- Origins --------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def origins() -> tuple[str, ...]:
    """Every classifier of timm and torchvision, by itself and with the name of its weights."""
    import timm
    from torchvision import models

    found = [f"timm/{name}" for name in [*timm.list_models(), *timm.list_pretrained()]]
    names = models.list_models(module=models)
    tagged = [f"{name}.{tag.name}" for name in names for tag in models.get_model_weights(name)]
    return (*found, *(f"torchvision/{name}" for name in names + tagged))


def origin_of(text: str) -> str:
    """The origin of a user's name; timm comes before torchvision.

    Raises:
        UserError: if there is none of that name.
    """
    for origin in (text, f"timm/{text}", f"torchvision/{text}"):
        if origin in origins():
            return origin
    if is_function(text):
        return text
    near = difflib.get_close_matches(text if "/" in text else f"timm/{text}", origins(), n=1)
    raise UserError(
        f"a model is one of {', '.join(MODELS)}, timm/NAME, torchvision/NAME or "
        f"package.module.function{f'; did you mean {near[0]}?' if near else '.'} Got {text!r}."
    )


def is_function(origin: str) -> bool:
    """Whether an origin is a function of the user's."""
    return "." in origin and all(part.isidentifier() for part in origin.split("."))


def _made(origin: str, weights: Path | None) -> tuple[nn.Module, dict[str, Any]]:
    """A module with the weights of a file, else with its own, and options of :class:`External`."""
    library, _, name = origin.partition("/")
    tensors = files.read(weights) if weights else None
    if not name:
        module, usual = _called(origin), {}
    elif library == "timm":
        import timm

        build = partial(timm.create_model, name)
        with explained(f"cannot fetch the weights of {origin}", _ADVICE):
            module = build(pretrained=not weights)
        of = module.pretrained_cfg
        usual = {"field": of["input_size"][-1], "mean": of["mean"], "std": of["std"]}
    else:
        from torchvision import models

        name, _, tag = name.partition(".")
        build, tag = partial(models.get_model, name), tag or "DEFAULT"
        of = models.get_model_weights(name)[tag].transforms()
        module, tensors = build(), tensors or from_torchvision(name, tag)
        usual = {"field": of.crop_size[0], "mean": of.mean, "std": of.std}
    if tensors:
        if name:
            layers = module.named_modules()
            head, last = [one for one in layers if isinstance(one[1], nn.Linear | nn.Conv2d)][-1]
            count = len(tensors.get(f"{head}.weight", last.weight))
            if count != len(last.weight):
                module = build(num_classes=count)
        if library == "torchvision":
            module.transform_input = True  # GoogLeNet and Inception normalise as their weights want
        with explained(f"{weights} does not fit {origin}"):
            module.load_state_dict(tensors)
    return module, usual


def from_torchvision(model: str, tag: str) -> Mapping[str, torch.Tensor]:
    """Weights of a model of torchvision, downloaded once by torch.hub and checked by the hash in
    their name; nothing but tensors is allowed among them.

    Raises:
        WeightsError: if they are neither in torch's cache nor to be downloaded, or are something
            else.
    """
    from torchvision.models import get_model_weights

    weights, place = get_model_weights(model)[tag], f"{torch.hub.get_dir()}/checkpoints"
    what = f"cannot have the weights of {model} from {weights.url} or {place}"
    with explained(what, _ADVICE):
        return weights.get_state_dict(progress=True, check_hash=True, weights_only=True)


def _called(function: str) -> nn.Module:
    with explained(f"{function}() must make a torch.nn.Module without being given anything"):
        module = pkgutil.resolve_name(function)()
        if not isinstance(module, nn.Module):
            raise TypeError(f"got {type(module).__name__}")
    return module
