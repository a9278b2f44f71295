"""The plot of what a blind estimate of blur makes of known blurs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from blurpaper.figures.palette import LIGHT, SERIES_COLOURS


def estimated_radii(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Estimated against true radius: the median and the middle 80 % over photographs; dotted, where
    both are equal.

    Args:
        rows: ``blur``, ``file`` (what became of it after the blur), ``radius``, ``low``, ``median``
            and ``high`` of each condition. Disks are joined by a line; blurs of other shapes stand
            at the disk of equal variance.
    """
    figure, axis = plt.subplots(figsize=(5.0, 4.0))
    of_disks, of_others = SERIES_COLOURS[:2]
    plain = [row for row in rows if not row["file"]]
    disks = [row for row in plain if row["blur"] == "sharp" or row["blur"].startswith("D")]
    x, low, median, high = (
        np.array([row[name] for row in disks]) for name in ("radius", "low", "median", "high")
    )
    axis.plot([0, x[-1]], [0, x[-1]], ":", color=LIGHT["rule"], linewidth=1)
    axis.fill_between(x, low, high, color=of_disks, alpha=0.2, linewidth=0)
    axis.plot(x, median, "-o", color=of_disks, markersize=4)
    middle = len(x) // 2
    place = (x[middle], high[middle])
    axis.annotate(
        "disks", place, (-4, 4), textcoords="offset points", color=of_disks, ha="right", fontsize=9
    )
    for row in (row for row in plain if row not in disks):
        bounds = [[row["median"] - row["low"]], [row["high"] - row["median"]]]
        axis.errorbar(
            row["radius"],
            row["median"],
            bounds,
            fmt="D",
            color=of_others,
            markersize=4,
            linewidth=1,
        )
        place = (row["radius"], row["low"])
        axis.annotate(
            row["blur"],
            place,
            (0, -4),
            textcoords="offset points",
            ha="center",
            va="top",
            color=of_others,
            fontsize=9,
        )
    axis.set(
        xlabel="true radius, or that of a disk of equal variance",
        ylabel="estimated radius, pixels of 384",
    )
    axis.set_ylim(bottom=-0.3)
    figure.tight_layout()
    return figure
