"""The pictures of the page with a blur slider, and what the networks that go with them see:
photographs, and embedded images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import torch

from blurpaper import data
from blurpaper.book.play import seen
from blurpaper.book.play.seen import Played
from blurpaper.data.examples import EXAMPLES, Example, photograph
from blurpaper.experiments import Published, exhibits, results
from blurpaper.networks import NetworkSpec, module_of
from blurpaper.runs.profile import Profile
from blurpaper.runs.store import Store
from blurpaper.training import networks as trained

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
"""How many of the embedded images are shown. Their classes are evenly spread, whatever the networks
say of them.
"""
EMOJI = "emoji"
"""The embedded data; and the profile whose committed pictures of them are shown in a run on other
data.
"""


@dataclass(frozen=True)
class Words:
    """What the page says of a picture.

    Attributes:
        choice: what is in it, where it can be chosen.
        title: the same for those who cannot see it.
        answers: names of the classes that are right.
        source: whom to thank, and which network looks at it.
    """

    choice: str
    title: str
    answers: tuple[str, ...]
    source: str


def on_photographs(store: Store) -> Played:
    """What the ImageNet network from PyPI, and the one that comes with blurpaper, see in
    scikit-image's photographs.
    """
    named = exhibits.on_photographs()
    settings, model = named[0][0], named[0][1].model
    pictures = {example.name: photograph(example) for example in PHOTOGRAPHS}
    words = {
        example.name: Words(
            example.what,
            f"Photograph of {example.what}",
            example.answers,
            f"Photograph: {example.source}. Seen by {model}.",
        )
        for example in PHOTOGRAPHS
    }
    return _found({spec.mix: spec for _, spec in named}, pictures, words, settings, store)


def are_embedded(profile: Profile) -> bool:
    """Whether a run is on the embedded data, so that it has such pictures of its own."""
    return profile.evaluation.test_sets[0] == EMOJI


def on_embedded(profile: Profile, store: Store | Published) -> Played | None:
    """What a run's own networks see in some of its embedded images; of a run on other data, the
    committed ones of :data:`EMOJI`.

    Returns:
        None where nothing of that kind was committed.
    """
    if not are_embedded(profile):
        return results.published_played(EMOJI)
    if isinstance(store, Published):
        return results.published_played(profile.name)
    images = data.load(EMOJI, "test", profile, store)
    first = {int(label): number for number, label in reversed(list(enumerate(images.labels)))}
    chosen = [first[round(label)] for label in np.linspace(0, len(images.classes) - 1, EMBEDDED)]
    names = {number: images.classes[images.labels[number]] for number in chosen}
    words = {
        images.ids[number]: Words(
            f"drawn: {name}",
            f"Drawing of {name} on a background like a photograph's",
            (name,),
            f"Drawn by blurpaper with artwork of OpenMoji, CC BY-SA 4.0. Seen by {profile.model}, "
            "trained on such images.",
        )
        for number, name in names.items()
    }
    networks = {mix: NetworkSpec(profile.model, mix) for mix in ("original", "mix")}
    return _found(
        networks, {images.ids[number]: images[number] for number in chosen}, words, profile, store
    )


def together(*sets: Played | None) -> Played:
    """Pictures of several sets as one; their networks are of the same names."""
    known = [one for one in sets if one]
    return {
        **known[0],
        "photographs": {
            name: one for played in known for name, one in played["photographs"].items()
        },
    }


def mean(played: Played, network: str, condition: str, number: str) -> float:
    """Entropy or the last stage's distance of a network under a condition, averaged over the
    pictures of a set.
    """
    told = [
        one["seen"][condition]["networks"][network][number]
        for one in played["photographs"].values()
    ]
    return float(np.mean([one[-1] if isinstance(one, list) else one for one in told]))


def _found(
    networks: Mapping[str, exhibits.Named],
    pictures: Mapping[str, torch.Tensor],
    words: Mapping[str, Words],
    settings: Profile,
    store: Store,
) -> Played:
    recipe = seen.recipe(
        {name: trained.identity_of(spec, settings, store) for name, spec in networks.items()},
        sorted({module_of(spec.model) for spec in networks.values()}),
        pictures,
        settings.protocol,
    )

    def make() -> Played:
        loaded = {name: trained.network(spec, settings, store) for name, spec in networks.items()}
        return seen.played(loaded, pictures, settings.protocol, settings.compute)

    played = store.get(recipe, lambda _: make())
    shown = {name: one | asdict(words[name]) for name, one in played["photographs"].items()}
    return {**played, "photographs": shown}
