"""What a run would do, said before anything is spent."""

from __future__ import annotations

from collections.abc import Sequence

from blurpaper import data
from blurpaper.networks import NetworkSpec
from blurpaper.networks.pretrained import ORIGINALS
from blurpaper.profile import Profile
from blurpaper.store import Store


def describe(profile: Profile, chapters: Sequence[str]) -> str:
    """The plan of a run: data, networks, images to classify, chapters; what is in the store already is marked."""
    from blurpaper import runs

    store = Store()
    lines = [f"profile {profile.name}: {profile.title}", f"store: {store.root}"]
    missing = data.missing(profile)
    lines += [f"data: {sentence}" for sentence in missing] or ["data: all there"]
    spec = NetworkSpec(profile.model)
    if spec.model in ORIGINALS:
        lines.append(f"network {spec}: original weights")
    elif not missing:
        done = store.has(runs.network_recipe(spec, profile, store))
        lines.append(f"network {spec}: {'in the store' if done else f'to train, {_steps(profile)} steps'}")
    settings = profile.evaluation
    for name in settings.test_sets if not missing else ():
        images = data.load(name, "test", profile, store)
        recipes = list(runs.prediction_recipes(spec, images, settings.conditions, settings.scales, profile, store))
        done = sum(store.has(recipe) for _, _, recipe in recipes)
        lines.append(
            f"{name}: {len(images)} images x {len(settings.conditions)} conditions x {len(runs.base_scales(settings.scales))} "
            f"scales to classify, {done} of {len(recipes)} parts in the store"
        )
    lines.append("chapters: " + ", ".join(chapters))
    return "\n".join(lines)


def _steps(profile: Profile) -> int:
    per_epoch = profile.emoji.train // profile.pretraining.batch
    return per_epoch * sum(phase.epochs for phase in profile.pretraining.phases)
