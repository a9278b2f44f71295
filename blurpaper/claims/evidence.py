"""The numbers of one source that decide claims, each with its resamples over images.

A number is taken from the best that a source has. From decisions on images, or from counts of
pixels, it is resampled over images (and over seeds where there are several), the same images for
all networks, so that differences are paired. From a row with an interval, it is drawn from the
normal distribution of that interval, independently of all others. From a row without one it is a
point, and so is every verdict that rests on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import cache, cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from blurpaper.evaluation import intervals, metrics, results
from blurpaper.evaluation.results import AS_IS
from blurpaper.experiments.sources import MissingError, Source
from blurpaper.networks.reference import DEFAULT_SCALE, ORIGINAL, RECIPES
from blurpaper.runs.randomness import stream
from blurpaper.segmentation.metrics import draws

if TYPE_CHECKING:
    import pandas as pd


IMAGES, INTERVALS, POINTS = "images", "intervals", "points"
"""How a number's uncertainty is known: resampled over images, drawn from its interval, or not."""

_SEGMENTED = "miou"


class NotMeasuredError(LookupError):
    """A number that a source does not have, in one sentence."""


class Basis(NamedTuple):
    """What a number rests on.

    Attributes:
        kind: one of :data:`IMAGES`, :data:`INTERVALS` and :data:`POINTS`.
        labelled: training images a class of a network tuned with labels; infinite of any other.
        classes: that the test images are told apart by, or labels of their pixels.
        images: of the test set.
    """

    kind: str
    labelled: float
    classes: float
    images: float


class Evidence:
    """The numbers of one source.

    Args:
        labelled: take networks that were fine-tuned on so many images a class of the set of the
            profile's ``density``, on its test images; otherwise those of the profile.

    Attributes:
        name: of the source.
        model, second_model: of the networks, and of the paper's Table A.
        data: the test set that decides.
        measure: of accuracy: ``top-5``, or ``top-1`` where the network is to choose among a set's
            own few classes.
        resamples: of the images.
    """

    def __init__(self, source: Source, labelled: int = 0) -> None:
        settings, self._at = source.profile.evaluation, labelled
        self._source, self.name, self.resamples = source, source.name, settings.bootstrap
        self.model, self.second_model = source.profile.model, settings.second_model
        self.data = source.profile.density.data if labelled else source.test_set
        self.measure = "top-1" if self.data in settings.class_restricted_sets else "top-5"
        self._labelled = cache(source.labelled)
        self._drawn: dict[tuple[tuple[str, str], ...], tuple[np.ndarray, Basis]] = {}
        self._decisions: dict[tuple[str, ...], dict[tuple[str, ...], pd.DataFrame]] = {}
        self.used: list[Basis] = []
        """What the numbers rest on that were asked for since this list was last cleared."""

    def on(self, table: str) -> list[Evidence]:
        """What decides the claims of a table, the best first.

        Claims of Table 3 on what labels teach are decided where there are most labels a class: on
        the set of the profile's ``density`` if the network chooses among that set's own classes.
        """
        density, few = self._source.profile.density, self._source.profile.evaluation
        if table != "table3" or density.data not in few.class_restricted_sets:
            return [self]
        most = sorted((part.labelled for part in density.parts), reverse=True)
        return [*(Evidence(self._source, labelled) for labelled in most), self]

    # --- What claims ask for ----------------------------------------------------------------------

    def accuracy(
        self,
        network: str = "original",
        condition: str = "sharp",
        scale: str = "256",
        **columns: str,
    ) -> np.ndarray:
        """Accuracy of a network under a condition, by ``measure``: ``(1 + R,)``. Further columns as
        :meth:`number` takes them.
        """
        metric = self.measure.replace("-", "")
        return self.number(metric, network, condition, scale=scale, **columns)

    def entropy(
        self, network: str = "original", condition: str = "sharp", **columns: str
    ) -> np.ndarray:
        """Mean entropy of the predictions, in nats, at scale 256 if no other is said:
        ``(1 + R,)``. Further columns as for :meth:`accuracy`.
        """
        columns = {"scale": "256", "experiment": "table2"} | columns
        return self.number("entropy", network, condition, **columns)

    def miou(
        self, network: str = "original", condition: str = "sharp", region: str = "all"
    ) -> np.ndarray:
        """Mean IoU over all pixels, or near boundaries: ``(1 + R,)``."""
        return self.number(
            _SEGMENTED, network, condition, experiment="table6", scale="384", region=region
        )

    def hamming(self, network: str, condition: str, stage: str) -> np.ndarray:
        """Mean Hamming distance of binarised features from those of the sharp image, after a stage:
        ``(1 + R,)``.
        """
        return self.number(
            "hamming", network, condition, experiment="figure4", scale="256", region=stage
        )

    def number(self, metric: str, network: str, condition: str, **columns: str) -> np.ndarray:
        """A metric of a network under a condition: float64 ``(1 + R,)``, the value and what it is
        in each resample.

        Args:
            network: a mix, or MIX/RECIPE; ``original`` if none.
            columns: others of a result. ``train_scale`` is 256 unless it is said; ``experiment`` is
                the table that rows are taken from (otherwise the first that has them).

        Raises:
            NotMeasuredError: if this source does not have it.
        """
        mix, _, recipe = network.partition("/")
        of = {"model": self.model, "network": mix, "metric": metric, "condition": condition}
        of |= {"input": AS_IS, "region": "", "train_scale": "", "recipe": "", "parameter": ""}
        if mix != ORIGINAL:
            of["parameter"] = f"{self._at} a class" if self._at else ""
            of["train_scale"] = "384" if metric == _SEGMENTED else DEFAULT_SCALE
            of["recipe"] = recipe or RECIPES[0]
        of |= columns
        key = tuple(sorted(of.items()))
        if key not in self._drawn:
            self._drawn[key] = self._resampled(of)
        drawn, basis = self._drawn[key]
        self.used.append(basis)
        return drawn

    # --- Where it comes from ----------------------------------------------------------------------

    def _decided(self, of: dict[str, str]) -> pd.DataFrame | None:
        """The decisions on the test set in one setting, from all seeds.

        Raises:
            MissingError: if the source has no decisions at all.
        """
        network = tuple(of[column] for column in _NETWORK)
        if network not in self._decisions:
            columns = {column: of[column] for column in _NETWORK}
            frame = self._source.decisions(data=self.data, **columns)
            self._decisions[network] = dict(
                iter(frame.groupby(["scale", "condition"], sort=False, observed=True))
            )
        return self._decisions[network].get((of.get("scale", ""), of["condition"]))

    @cached_property
    def _confusions(self) -> dict[tuple[str, ...], np.ndarray]:
        """(network, condition, region) -> counts of pixels ``(N, K, K)``."""
        frame = self._source.confusions()
        images = {name: number for number, name in enumerate(frame["image"].unique())}
        count = 1 + int(max(frame["truth"].max(), frame["predicted"].max()))
        found = {}
        for key, group in frame.groupby(
            ["network", "condition", "region"], sort=False, observed=True
        ):
            whole = np.zeros((len(images), count, count), np.int64)
            whole[group["image"].map(images).to_numpy(int), group["truth"], group["predicted"]] = (
                group["pixels"]
            )
            found[key] = whole
        return found

    def _resampled(self, of: dict[str, str]) -> tuple[np.ndarray, Basis]:
        segmented = of["metric"] == _SEGMENTED
        labelled = self._at or self._labelled(segmented)
        labelled = labelled if of["recipe"] == RECIPES[0] else np.inf
        with suppress(MissingError):  # a source without decisions has rows
            if segmented:
                key = (of["network"], of["condition"], of["region"])
                if key not in self._confusions:
                    raise _not_measured(of)
                counts = self._confusions[key]
                basis = Basis(IMAGES, labelled, counts.shape[1], len(counts))
                return draws(counts, self.resamples), basis
            if of["region"] == "":
                if (group := self._decided(of)) is None:
                    # The tables lack it too, and to look there would make a run compute them.
                    raise _not_measured(of)
                drawn, images = self._over_images_and_seeds(group, of["metric"])
                return drawn, Basis(IMAGES, labelled, float(group["classes"].iloc[0]), images)
        row = self._row(of)
        drawn, kind = self._drawn_from(row)
        return drawn, Basis(kind, labelled, float(row["classes"] or "nan"), float(row["n"]))

    def _over_images_and_seeds(self, group: pd.DataFrame, metric: str) -> tuple[np.ndarray, int]:
        """A metric's mean, ``(1 + R,)``, and the number of images."""
        terms = np.array(
            [metrics.per_image(one)[metric] for _, one in group.groupby("seed", observed=True)]
        )
        means = intervals.sums_over_both(terms, self.resamples) / terms.size
        return np.concatenate([[terms.mean()], means]), terms.shape[1]

    def _row(self, of: dict[str, str]) -> pd.Series:
        names = (
            [of["experiment"]]
            if "experiment" in of
            else ["table1", "table3", "table4", "table5", "tableA", "densities"]
        )
        wanted = {column: value for column, value in of.items() if column != "experiment"}
        for name in names:
            with suppress(MissingError):
                found = results.select(self._source.rows(name), **wanted)
                found = found[
                    found["seed"].isin(["", "0"]) & found["data"].isin([self.data, *_ELSEWHERE])
                ]
                if len(found):
                    return found.iloc[0]
        raise _not_measured(of)

    def _drawn_from(self, row: pd.Series) -> tuple[np.ndarray, str]:
        value, low, high = (float(row[column]) for column in ("value", "low", "high"))
        if np.isnan(low):
            return np.full(1 + self.resamples, value), POINTS
        # Empty columns have no part in the seed of the noise: a new one leaves every number alone.
        key = [str(row[one]) for one in results.KEY if row[one] or one not in ("item", "parameter")]
        noise = (
            stream("claims", *key).normal(size=self.resamples)
            * (high - low)
            / (2 * intervals.HALF_WIDTH)
        )
        return np.concatenate([[value], value + noise]), INTERVALS


def _not_measured(of: Mapping[str, str]) -> NotMeasuredError:
    told = ", ".join(
        f"{column} {value}"
        for column, value in of.items()
        if value and column not in ("model", "input", "metric")
    )
    return NotMeasuredError(f"there is no {of['metric']} of {of['model']} with {told}.")


_NETWORK = ("model", "network", "train_scale", "recipe", "input", "parameter")
_ELSEWHERE = ("voc2012", "voc-animals", "emoji-scenes")
"""Sets besides the test set whose rows decide claims: those of segmentation."""
