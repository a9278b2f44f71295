"""The page with a blur slider: photographs under growing blur, and the predictions of the original
network and of the bundled one.

Without JavaScript, and in JupyterLab, there is a table for one blur; in the built book `play.js`
replaces it by controls, which take what they show from data in the page as JSON.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from IPython.display import HTML

from blurpaper.book.style import data_uri
from blurpaper.book.tables import render
from blurpaper.data.examples import EXAMPLES, Example, photograph
from blurpaper.data.images import to_canonical
from blurpaper.evaluation import protocol
from blurpaper.experiments import examples
from blurpaper.kernels import SHAKE, SHARP, axis_variance, shake_bank
from blurpaper.networks import Reference
from blurpaper.runs import Run
from blurpaper.runs.profile import Profile
from blurpaper.runs.store import Store
from blurpaper.training.networks import reference

PHOTOGRAPHS = (
    *EXAMPLES,
    Example("camera", "a photographer", ("tripod",), "Lav Varshney, CC0, from scikit-image"),
)
FIRST = "coffee", "G4"
"""The photograph and the blur at the beginning, under which the two networks differ."""
_NOTCHES = 8
"""Of the slider beyond zero, which is the sharp image."""
_SIZED = {
    "Defocus": ("D", 1, "a disk of radius"),
    "Horizontal motion": ("H", 2, "motion over"),
    "Gaussian": ("G", 0.5, "a Gaussian of standard deviation"),
}
"""Kinds of PSF: letter, growth from notch to notch up to about the variance of ``D8``, shape."""


def kinds() -> dict[str, dict[str, str]]:
    """The conditions of each kind of PSF in words, sharp first, then by growing extent."""
    found = {}
    for title, (letter, pace, shape) in _SIZED.items():
        sizes = [f"{pace * notch:g}" for notch in range(1, _NOTCHES + 1)]
        found[title] = {f"{letter}{size}": f"{letter}{size}, {shape} {size} px" for size in sizes}
    order = np.argsort([axis_variance(kernel).sum() for kernel in shake_bank("test")])
    chosen = order[np.linspace(0, len(order) - 1, _NOTCHES).round().astype(int)]
    found["Camera shake"] = {f"{SHAKE}:{one}": f"{SHAKE}:{one}, a trajectory" for one in chosen}
    return {title: {SHARP: SHARP} | named for title, named in found.items()}


def seen(network: Reference, example: Example, condition: str, settings: Profile) -> dict[str, Any]:
    """The prediction of a network on a photograph under a condition: the five likeliest classes and
    their probabilities (``likely``), and the ``entropy`` in nats.
    """
    given = "", example.name, photograph(example), example.answers, [condition], settings
    (found,) = examples.predict(network, *given)
    likely = found.log_p.topk(5)
    pairs = zip(likely.indices.tolist(), likely.values.exp().tolist(), strict=True)
    named = [[found.classes[number], round(share, 4)] for number, share in pairs]
    entropy = torch.special.entr(found.log_p.exp()).sum()
    return {"likely": named, "entropy": round(float(entropy), 2)}


def photographs(store: Store) -> dict[str, dict[str, Any]]:
    """What the page shows of each photograph: words, size, and for each condition the ``picture``
    and the prediction of each network.
    """
    pairs = examples.networks_on_photographs()
    networks = {
        one.name.partition(":")[2]: (settings, reference(one, Run(settings, store)))
        for settings, one in pairs
    }
    conditions = {condition for named in kinds().values() for condition in named}
    side, found = pairs[0][0].protocol.canonical, {}
    for example in PHOTOGRAPHS:
        image = to_canonical(photograph(example), side)
        found[example.name] = {
            "title": example.what,
            "answers": example.answers,
            "source": f"Photograph: {example.source}",
            "size": [image.shape[2], image.shape[1]],
            "pictures": {
                one: data_uri(protocol.blurred(image[None], [""], one, side)[0])
                for one in conditions
            },
            "networks": {
                name: {one: seen(network, example, one, settings) for one in conditions}
                for name, (settings, network) in networks.items()
            },
        }
    return found


def html(found: dict[str, dict[str, Any]]) -> str:
    """The interactive part of the page, with its data."""
    shown = {"photographs": found, "kinds": kinds(), "first": FIRST}
    data = json.dumps(shown, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    choices = {
        "photograph": [(name, one["title"]) for name, one in found.items()],
        "kind": [(title, title) for title in shown["kinds"]],
    }
    names = list(found[FIRST[0]]["networks"])
    return render("play.html", **shown, networks=names, choices=choices, data=data)


def page() -> HTML:
    """The slider, for a chapter."""
    return HTML(html(photographs(Store())))
