"""Advice on blurred images: for each kind of blur the best remedy that was measured, its gain and
its cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from blurpaper.book import build
from blurpaper.book.page import foremost
from blurpaper.book.tables import render, rounded
from blurpaper.evaluation import results
from blurpaper.evaluation.results import AS_IS
from blurpaper.experiments.sources import MissingError, Source, ours
from blurpaper.kernels import PSF, SHARP

if TYPE_CHECKING:
    import pandas as pd

    from blurpaper.runs.profile import Profile

LABELS, AGREEMENT, SHAKE = "mix", "mix/agreement", "sharp+shake"
"""Networks to compare with the original, as MIX[/RECIPE]."""
KINDS = {
    "slightly blurred": (("D2", "H4"), (AGREEMENT, LABELS)),
    "out of focus, to an unknown degree": (("D4", "D8"), (AGREEMENT, LABELS)),
    "blurred by a shaking camera": (("shake",), (AGREEMENT, LABELS, SHAKE)),
}
"""Kinds of blurred images -> conditions that represent them, and the networks to choose from."""
WAYS = {
    LABELS: ("fine-tune the network on the mix of sharp and defocused images, with labels", ""),
    AGREEMENT: ("fine-tune the network on the mix, without labels", " --unlabelled"),
    SHAKE: ("fine-tune the network on camera shake, with labels", " --mix sharp,shake"),
}
"""How to make such a network, in words and as options of ``finetune``."""


def remedies(run: Source) -> tuple[str, pd.DataFrame]:
    """The best remedy for each kind of blur: the source of the numbers, and a row a condition.

    The source is the published run on photographs, else the run given. A row has the accuracy (or
    mean IoU) ``before`` and ``after`` the remedy on the same images, and their difference,
    ``gain``, with its 95 % interval, ``low`` to ``high``. A remedy ``helps`` if this interval lies
    above zero under some blur.
    """
    import pandas as pd

    source = ours(run)[0]
    profile = source.profile
    table3, table5, table6, by_psf = (
        foremost(source.rows(one), profile)
        for one in ("table3", "table5", "table6", "deblurring_psf")
    )
    stamps, seconds = {}, {}
    with suppress(MissingError):
        stamps = {(one["kind"], one["name"]): one for one in source.origin().stamps}
    with suppress(MissingError):
        seconds = source.seconds()
    found = []
    for images, (conditions, names) in KINDS.items():
        networks = {name: _network(table3, name) for name in ("original", *names)}
        measured = [one for one in names if set(conditions) <= set(networks[one]["condition"])]
        if not measured:
            continue
        best = max(measured, key=lambda name: _mean(networks[name], conditions))
        stamp = stamps.get(("networks", f"{profile.model}:{best}"), {})
        gains = _gains(networks["original"], networks[best], "top5", [*conditions, SHARP])
        found += [{"images": images, **_way(best, profile, stamp), **one} for one in gains]

    psf = profile.deblurring.psf
    as_is, epll = (results.select(table5, network="original", input=way) for way in (AS_IS, "epll"))
    deblurred = {
        "images": "blurred by an exactly known PSF",
        "remedy": "deblur the images by EPLL, and leave the network as it is",
        "command": f"blurpaper deblur photos/ restored/ --psf {psf}",
        "caution": _caution(by_psf, psf),
        "table": "table5",
        "cost": f"{seconds['epll']:.2g} s an image" if "epll" in seconds else "not timed",
    }
    worse = _row(as_is, psf, "top5_vs_epll")
    better = {"value": -worse["value"], "low": -worse["high"], "high": -worse["low"]}
    found.append(deblurred | _gain(*(_row(one, psf, "top5") for one in (as_is, epll)), better))

    stamp = stamps.get(("segmenters", f"{profile.model}:{LABELS}.{profile.segmentation.data}"), {})
    segmented = {
        "images": "out of focus, and to be segmented",
        "remedy": "fine-tune the network and its classifier of pixels on the mix",
        "command": f"blurpaper train segmentation:mix --profile {profile.name}",
        "table": "table6",
        **_cost(stamp),
    }
    pixels = [results.select(table6, region="all", network=one) for one in ("original", LABELS)]
    found += [segmented | one for one in _gains(*pixels, "miou", ("D4", "D8", SHARP))]

    frame = pd.DataFrame(found).fillna({"caution": "", "device": ""})
    helps = (frame["low"] > 0) & (frame["condition"] != SHARP)
    return source.name, frame.assign(helps=helps.groupby(frame["images"]).transform("any"))


def table(found: pd.DataFrame) -> str:
    """Remedies as HTML: shares in per cent, differences in points."""
    kinds = [rows.to_dict("records") for _, rows in found.groupby("images", sort=False)]
    return render("remedies.html", kinds=kinds, page=build.page_of)


def _network(table3: pd.DataFrame, name: str) -> pd.DataFrame:
    mix, _, recipe = name.partition("/")
    recipe = "" if name == "original" else recipe or "labels"
    return results.select(table3, network=mix, recipe=recipe)


def _mean(rows: pd.DataFrame, conditions: Sequence[str]) -> float:
    return results.select(rows, metric="top5", condition=list(conditions))["value"].mean()


def _way(name: str, profile: Profile, stamp: Mapping[str, Any]) -> dict[str, str]:
    """How to get a network, and its cost."""
    if name == profile.evaluation.released_network:
        return {
            "table": "table3",
            "remedy": "take the bundled network, tuned without labels",
            "command": f"blurpaper evaluate --network {profile.model}:{AGREEMENT} --images photos/",
            "cost": "none",
        }
    remedy, options = WAYS[name]
    tune = f"blurpaper finetune --network {profile.model} --images photos/{options}"
    command = f"{tune} --out tuned.safetensors"
    return {"table": "table3", "remedy": remedy, "command": command, **_cost(stamp)}


def _cost(stamp: Mapping[str, Any]) -> dict[str, str]:
    if stamp.get("seconds") is None:
        return {"cost": "not timed"}
    return {"cost": f"{rounded(stamp['seconds'] / 60, 1)} min", "device": stamp["device"]}


def _row(rows: pd.DataFrame, condition: str, metric: str) -> pd.Series:
    return results.select(rows, condition=condition, metric=metric).iloc[0]


def _gain(before: pd.Series, after: pd.Series, gain: Mapping[str, float]) -> dict[str, Any]:
    about = {name: before[name] for name in ("model", "data", "condition", "metric")}
    shares = {"before": before["value"], "after": after["value"], "gain": gain["value"]}
    return {**about, **shares, "low": gain["low"], "high": gain["high"]}


def _gains(
    before: pd.DataFrame, after: pd.DataFrame, metric: str, conditions: Iterable[str]
) -> list[dict[str, Any]]:
    return [
        _gain(
            *(_row(rows, one, metric) for rows in (before, after)),
            _row(after, one, f"{metric}_vs_original"),
        )
        for one in conditions
    ]


def _caution(rows: pd.DataFrame, true: str) -> str:
    """Top-5 accuracy if EPLL assumes a PSF that is nearly the true one."""
    top5 = results.select(rows, network="original", metric="top5")
    wrong = top5[~top5["parameter"].isin(["", true])]
    off = wrong["parameter"].map(lambda name: abs(PSF.parse(name).size - PSF.parse(true).size))
    near = wrong[off == off.min()]
    naive = near[near["input"] == "epll as " + near["parameter"]]["value"]
    best = near.groupby("parameter")["value"].max()
    naive, best, left = (
        " to ".join(dict.fromkeys(rounded(100 * value, 0) for value in (one.min(), one.max())))
        for one in (naive, best, results.select(top5, parameter="")["value"])
    )
    return (
        f"If the assumed radius is {off.min():g} px off, top-5 accuracy is {naive} % (at best "
        f"{best} %, assuming more noise); without deblurring, it is {left} % on the same images."
    )
