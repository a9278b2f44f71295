"""What networks take single images for: the first guess behind each verdict of Figure 3, and its
probability.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from blurpaper import data
from blurpaper.data.examples import EXAMPLES, photograph
from blurpaper.evaluation import predictions
from blurpaper.experiments import exhibits, results, tallies
from blurpaper.experiments.recognition import FIGURE3_CONDITIONS, figure3
from blurpaper.experiments.sources import experiment
from blurpaper.networks import NetworkSpec
from blurpaper.runs.profile import Profile
from blurpaper.runs.store import Store
from blurpaper.training import networks

if TYPE_CHECKING:
    import torch


@experiment
def figure3_guesses(profile: Profile, store: Store) -> Iterator[dict[str, Any]]:
    """For every image and network of Figure 3, the likeliest class (``region``) and its
    probability.
    """
    verdicts = figure3(profile, store)
    for name in profile.evaluation.test_sets:
        images = data.load(name, "test", profile, store)
        numbers = {one: number for number, one in enumerate(images.ids)}
        here = verdicts[verdicts["data"].isin(list(numbers))]
        for mix, rows in here.groupby("network", sort=False):
            spec = NetworkSpec(profile.model, mix)
            conditions, scales = tallies.settings_of(spec, profile)
            wanted = [one for one in conditions if one in set(rows["condition"])]
            found = predictions.log_probabilities(spec, images, wanted, scales, profile, store)
            for one in rows.to_dict("records"):
                log_p = found[one["condition"]]["256"][numbers[one["data"]]].log_softmax(dim=0)
                yield {
                    column: one[column] for column in results.KEY if column != "experiment"
                } | _guess(log_p, images.classes)
    for settings, spec in exhibits.on_photographs():
        network = networks.network(spec, settings, store)
        for example in EXAMPLES:
            for condition in FIGURE3_CONDITIONS:
                place = f"scikit-image/{example.name}"
                key, log_p = exhibits.predicted(
                    network, spec, place, photograph(example), condition, settings
                )
                yield key | _guess(log_p, network.classes)


def _guess(log_p: torch.Tensor, classes: tuple[str, ...]) -> dict[str, Any]:
    best = int(log_p.argmax())
    return {
        "region": classes[best],
        "metric": "probability",
        "value": float(log_p[best].exp()),
        "n": 1,
    }
