"""A report on a network under blur, for those who were not there: one HTML file with its figure,
tables and examples in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from blurpaper import __version__, results
from blurpaper.evaluation import Measured, fitted, measure
from blurpaper.finetuning import mix_of
from blurpaper.flips import Line, examples
from blurpaper.kernels import SHARP
from blurpaper.networks import NetworkSpec
from blurpaper.profile import Profile
from blurpaper.store import Store, surroundings
from blurpaper.tables import rounded
from blurpaper.tallies import DISKS
from blurpaper.writing import written

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_METRICS = {
    "top1": "top-1, %", "top5": "top-5, %", "agreement": "agreement, %", "entropy": "entropy, nats",
    "cross_entropy": "cross-entropy, nats", "ece": "calibration error, %",
}  # fmt: skip
_SHARES = ("top1", "top5", "agreement", "ece")


def write(
    path: Path,
    title: str,
    lines: Sequence[Line],
    conditions: Sequence[str],
    scales: Sequence[str],
    profile: Profile,
    facts: Mapping[str, str],
    remarks: Sequence[str] = (),
) -> None:
    """Write a report.

    Args:
        lines: one network, or the same before and after it was tuned, measured on the same images.
        facts: what was done and what it cost: heading -> text.
        remarks: sentences below the figure.

    >>> import re
    >>> import tempfile
    >>> import torch
    >>> from blurpaper import profile
    >>> from blurpaper.data.examples import CarriedSet
    >>> of, shares = {"metric": "top1", "scale": "256"}, {"sharp": 1.0, "D8": 0.5}
    >>> rows = results.table(of | {"condition": name, "value": one} for name, one in shares.items())
    >>> said = {"sharp": {"256": torch.eye(2)}, "D8": {"256": torch.tensor([[1.0, 0.0], [1.0, 0.0]])}}
    >>> measured = Measured(rows, [], CarriedSet("test"), True, {"256": np.arange(2)}, said, seconds=4.0)
    >>> path = Path(tempfile.mkdtemp()) / "report.html"
    >>> write(path, "Mine", [Line("mine", measured)], ["sharp", "D8"], ["256"], profile.load("photos"), {})
    >>> text = path.read_text(encoding="utf-8")
    >>> re.search('class="lead">(.*?)<', text)[1], text.count("<img")
    ('Of 2 images, 100.0 % are recognised as they are, and 50.0 % under D8.', 2)
    """
    from jinja2 import Environment, PackageLoader
    from markupsafe import Markup

    from blurpaper.figures import svg

    pages = Environment(
        loader=PackageLoader("blurpaper", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    content = pages.get_template("report.html").render(
        title=title,
        lead=lead(lines, conditions, scales[0]),
        figure=Markup(svg.inline(_drawn(lines, conditions, scales))),  # made here
        seen=_seen(lines, conditions, scales),
        remarks=remarks,
        tables=[_table(line, conditions, scales) for line in lines],
        examples=list(examples(lines, conditions, scales[0], profile)),
        tuned=len(lines) > 1,
        facts=facts | _machine(),
        light=svg.variables("light"),
        dark=svg.variables("dark"),
        version=__version__,
    )
    with written(path) as temporary:
        temporary.write_text(content, encoding="utf-8")


def evaluated(
    path: Path,
    spec: NetworkSpec,
    folder: Path,
    measured: Measured,
    conditions: Sequence[str],
    scales: Sequence[str],
    profile: Profile,
    remarks: Sequence[str],
) -> None:
    """Write what was found of a network on a folder of images, with the advice that goes with it.

    >>> import re
    >>> import tempfile
    >>> from torch import nn
    >>> from blurpaper import profile
    >>> from blurpaper.data.examples import album
    >>> from blurpaper.networks.external import External, ExternalSpec
    >>> folder, store, photos = album(Path(tempfile.mkdtemp())), Store(tempfile.mkdtemp()), profile.load("photos")
    >>> peak = nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten())
    >>> spec = ExternalSpec("peak", network=External(peak, "peak", classes=["red", "green", "blue"]))
    >>> found = measure(spec, folder, ["sharp", "D2"], ["256"], photos, store)
    >>> path = folder.with_suffix(".html")
    >>> evaluated(path, spec, folder, found, ["sharp", "D2"], ["256"], photos, remarks=[])
    >>> re.search('class="lead">(.*?)<', path.read_text(encoding="utf-8"))[1]
    'Of 2 images, 50.0 % get the answer that they get sharp under D2.'
    """
    facts = {**_network(spec), **_protocol(folder, measured, profile), "Cost": cost(measured)}
    write(
        path,
        f"{spec} under blur",
        [Line(str(spec), measured)],
        conditions,
        scales,
        profile,
        facts,
        remarks,
    )


def tuned(
    path: Path,
    before: NetworkSpec,
    after: NetworkSpec,
    folder: Path,
    seen: bool,
    mix: str,
    profile: Profile,
    store: Store,
    done: str,
) -> None:
    """Write what fine-tuning did to a network, by the images of a folder.

    Args:
        seen: whether they are those that it was tuned on.
        done: what was done, in words.

    >>> import re
    >>> import tempfile
    >>> from torch import nn
    >>> from blurpaper import profile
    >>> from blurpaper.data.examples import album
    >>> from blurpaper.networks.external import External, ExternalSpec
    >>> folder, store, photos = album(Path(tempfile.mkdtemp())), Store(tempfile.mkdtemp()), profile.load("photos")
    >>> peak = nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten())
    >>> mean = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Softmin(dim=1))
    >>> names = ["red", "green", "blue"]
    >>> before, after = (ExternalSpec("it", network=External(one, "it", classes=names)) for one in (peak, mean))
    >>> path = folder.with_suffix(".html")
    >>> tuned(path, before, after, folder, False, "mix", photos, store, "means instead of peaks")
    >>> re.search('class="lead">(.*?)<', path.read_text(encoding="utf-8"))[1]
    'Of 2 images under D2, 50.0 % get the answer that they get sharp before tuning and 100.0 % after.'
    """
    profile = fitted(profile, before)
    conditions = list(dict.fromkeys([SHARP, *DISKS, *mix_of(mix)[1]]))
    first = measure(before, folder, conditions, ["256"], profile, store)
    last = measure(after, folder, conditions, ["256"], profile, store, like=first)
    facts = {
        **_network(before),
        "Fine-tuning": done,
        **_protocol(folder, first, profile),
        "Cost": cost(last),
    }
    remarks = []
    if seen:
        remarks.append(
            "These are the images that it was tuned on, which flatters it: other images are the better judge (--test)."
        )
    if not first.labelled:
        remarks.append(
            "Agreement, after tuning too, is with what the network said of the sharp image before."
        )
    lines = [Line("before", first), Line("after", last)]
    write(path, f"{before}, tuned on blur", lines, conditions, ["256"], profile, facts, remarks)


def cost(measured: Measured) -> str:
    """What classifying took, in words.

    >>> said = {"sharp": {}, "D8": {}}
    >>> cost(Measured(results.table([]), [], range(20), True, {}, said, seconds=4.0))
    '40 images classified in 4.0 s, 10.0 a second'
    """
    decisions = len(measured.images) * len(measured.log_probabilities)
    rate = f", {decisions / measured.seconds:.1f} a second" if measured.seconds else ""
    return f"{_images(decisions)} classified in {measured.seconds:.1f} s{rate}"


# --- Numbers --------------------------------------------------------------------------------------


def _metric(lines: Sequence[Line]) -> str:
    return "top1" if lines[0].measured.labelled else "agreement"


def _value(line: Line, metric: str, scale: str, condition: str) -> tuple[float, float, float]:
    (row,) = results.select(
        line.measured.rows, metric=metric, scale=scale, condition=condition
    ).itertuples()
    return float(row.value), float(row.low), float(row.high)


def lead(lines: Sequence[Line], conditions: Sequence[str], scale: str) -> str:
    """What the report says first: how much is lost under the worst blur, and what tuning gains.

    >>> of = {"metric": "top1", "scale": "256"}
    >>> shares = {"sharp": 0.9, "D8": 0.4}
    >>> rows = results.table(of | {"condition": name, "value": one} for name, one in shares.items())
    >>> measured = Measured(rows, [], range(20), True, {}, {}, seconds=4.0)
    >>> lead([Line("mine", measured)], ["sharp", "D8"], "256")
    'Of 20 images, 90.0 % are recognised as they are, and 40.0 % under D8.'
    """
    metric, first = _metric(lines), lines[0]
    blurs = [name for name in conditions if name != SHARP]
    worst = min(blurs or conditions, key=lambda name: _value(first, metric, scale, name)[0])
    where = f"under {worst}" if blurs else "as they are"
    count = _images(len(first.measured.images))
    share = {
        condition: _percent(_value(first, metric, scale, condition)[0]) for condition in conditions
    }
    does = "are recognised" if metric == "top1" else "get the answer that they get sharp"
    if len(lines) > 1:
        gain = _percent(_value(lines[1], metric, scale, worst)[0])
        return f"Of {count} {where}, {share[worst]} {does} before tuning and {gain} after."
    if metric == "top1" and SHARP in share and blurs:
        return f"Of {count}, {share[SHARP]} {does} as they are, and {share[worst]} {where}."
    return f"Of {count}, {share[worst]} {does} {where}."


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count:,} images"


def _percent(share: float) -> str:
    return f"{rounded(100 * share, 1)} %"


def _table(line: Line, conditions: Sequence[str], scales: Sequence[str]) -> dict[str, object]:
    """Headings and rows of a network's table, each number with its interval."""
    metrics = [name for name in _METRICS if name in set(line.measured.rows["metric"])]
    rows = []
    for scale in scales:
        for condition in conditions:
            cells = []
            for metric in metrics:
                times, digits = (100, 1) if metric in _SHARES else (1, 2)
                cells.append(
                    tuple(
                        rounded(times * number, digits)
                        for number in _value(line, metric, scale, condition)
                    )
                )
            rows.append((f"{condition} at {scale}" if len(scales) > 1 else condition, cells))
    return {"name": line.name, "heads": [_METRICS[name] for name in metrics], "rows": rows}


def _seen(lines: Sequence[Line], conditions: Sequence[str], scales: Sequence[str]) -> str:
    """The figure in words, for those who cannot see it."""
    metric = _metric(lines)
    what = (
        "Top-1 accuracy" if metric == "top1" else "Agreement with the prediction on the sharp image"
    )
    told = []
    for line in lines:
        for scale in scales:
            name = " ".join(
                [
                    *([line.name] if len(lines) > 1 else []),
                    *([f"at scale {scale}"] if len(scales) > 1 else []),
                ]
            )
            values = ", ".join(
                f"{condition} {_percent(_value(line, metric, scale, condition)[0])}"
                for condition in conditions
            )
            told.append(f"{name}: {values}" if name else values)
    return f"{what} under each blur. {'; '.join(told)}."


def _network(spec: NetworkSpec) -> dict[str, str]:
    return {"Network": spec.description}


def _protocol(folder: Path, measured: Measured, profile: Profile) -> dict[str, str]:
    own, left_out = profile.protocol, len(measured.left_out)
    scales = ", ".join(f"{name}: {own.pixels(name)}" for name in own.scales)
    return {
        "Images": f"{len(measured.images):,} of {folder}"
        + (f"; {left_out:,} could not be read" if left_out else ""),
        "Protocol": f"smaller side made {own.canonical} pixels, blurred, rounded to 8 bits, resized (pixels at scale {scales})",
    }


def _machine() -> dict[str, str]:
    found = surroundings()
    versions = ", ".join(
        f"{name} {found['versions'][name]}" for name in ("torch", "timm", "torchvision")
    )
    return {
        "Machine": found["device"],
        "Versions": f"blurpaper {__version__}, Python {found['python']}, {versions}",
    }


# --- Figure ---------------------------------------------------------------------------------------


def _drawn(lines: Sequence[Line], conditions: Sequence[str], scales: Sequence[str]) -> Figure:
    """Accuracy, or agreement, against the conditions with 95 % intervals; disks, which grow, are
    joined by lines.
    """
    from matplotlib import pyplot as plt

    from blurpaper.figures import palette, style  # noqa: F401 (the second sets the style of plots)

    metric = _metric(lines)
    figure, axis = plt.subplots(figsize=(4.7, 3.3))
    place = {condition: number for number, condition in enumerate(conditions)}
    grow = [
        condition for condition in conditions if condition == SHARP or condition.startswith("D")
    ]
    for line in lines:
        for scale in scales:
            if len(lines) > 1:
                colour, mark = (
                    palette.NETWORK_COLOURS[_AS[line is not lines[0]]],
                    palette.NETWORK_MARKS[_AS[line is not lines[0]]],
                )
            else:
                colour, mark = palette.SCALE_COLOURS[scale], palette.SCALE_MARKS[scale]
            value, low, high = (
                dict(zip(conditions, numbers))
                for numbers in zip(*(_value(line, metric, scale, name) for name in conditions))
            )
            axis.plot([place[name] for name in grow], [value[name] for name in grow], color=colour)
            bars = [
                [value[name] - low[name] for name in conditions],
                [high[name] - value[name] for name in conditions],
            ]
            axis.errorbar(
                list(place.values()), list(value.values()), np.clip(bars, 0, None), fmt=mark, color=colour,
                label=line.name if len(lines) > 1 else f"scale {scale}", linestyle="none", capsize=2,
            )  # fmt: skip
    axis.set(
        ylim=(0, 1.03),
        ylabel="top-1 accuracy" if metric == "top1" else "agreement with the sharp image",
    )
    axis.set_xticks(list(place.values()), list(conditions))
    if len(lines) * len(scales) > 1:
        axis.legend(frameon=False, loc="lower left")
    figure.tight_layout()
    return figure


_AS = {False: "original", True: "mix"}
"""Whose colours networks have, before and after tuning."""
