"""Tables as HTML: results of all sources side by side, each with its interval; the ledger of
claims; and the provenance of a source, for which nothing is loaded or computed.

Every value is escaped unless its template marks it as HTML.
"""

from __future__ import annotations

import base64
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from blurpaper.book.build import page_of
from blurpaper.claims import criteria
from blurpaper.claims.criteria import Finding
from blurpaper.claims.ledger import Entry
from blurpaper.evaluation import intervals
from blurpaper.evaluation.results import COLUMNS, select
from blurpaper.experiments import sources as numbers
from blurpaper.experiments.sources import Origin, Source, Stamp
from blurpaper.runs.files import HOME
from blurpaper.runs.store import sha256_of

if TYPE_CHECKING:
    import pandas as pd


def rounded(value: float, digits: int) -> str:
    """A number as text, halves rounded up, with a real minus sign and no negative zero.

    It is rounded to six digits first, since a half is seldom exact in binary.

    >>> rounded(100 * 0.0685, 1), rounded(-0.04, 1)
    ('6.9', '0.0')
    """
    if not np.isfinite(value):
        return str(value)
    digit = Decimal(1).scaleb(-digits)
    number = Decimal(f"{value:.6f}").quantize(digit, ROUND_HALF_UP) + 0
    return f"{number:f}".replace("-", "−")


_TEMPLATES = Environment(
    loader=PackageLoader("blurpaper.book"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(template: str, **values: object) -> str:
    """A template filled in."""
    return _TEMPLATES.get_template(template).render(values)


# --- Results --------------------------------------------------------------------------------------

METRICS = {
    "top1": ("top-1 accuracy", "%"),
    "top5": ("top-5 accuracy", "%"),
    "entropy": ("entropy", "nats"),
    "cross_entropy": ("cross-entropy", "nats"),
    "ece": ("calibration error (ECE)", "%"),
    "aurc": ("area under risk-coverage (AURC)", "%"),
    "js_divergence": ("Jensen-Shannon divergence", "nats"),
    "top1_recovered": ("share of the lost top-1 accuracy that is recovered", "%"),
    "top1_vs_original": ("change of top-1 accuracy from the original", "points"),
    "effective_radius": ("effective radius", "px"),
    "hamming": ("channels that differ", "%"),
    "log_likelihood": ("log-likelihood of a held-out patch", "nats"),
    "psnr": ("PSNR", "dB"),
    "ssim": ("structural similarity", "0 to 1"),
    "miou": ("mean IoU", "%"),
    "error": ("error, 1 − mean IoU", "%"),
    "loss": ("error that blur adds", "%"),
    "top1_vs_float32": ("change of top-1 accuracy from float32", "points"),
    "top5_vs_float32": ("change of top-5 accuracy from float32", "points"),
}
"""Metrics that a page may show: in words, and the unit in which they are shown."""


def grouped(rows: pd.DataFrame, row: str, column: str, columns: Sequence[str]) -> str:
    """An HTML table: a group of rows for each metric and value of a column, in it a row a source;
    each number with half the width of its interval, those of the paper in its own digits.

    Args:
        rows: tidy, with a ``source``.
        row: the column of the groups; ``metric`` if that alone tells them apart.
        columns: values of ``column``, in order.
    """
    groups = []
    for metric, here in rows.groupby("metric", sort=False):
        fullest = here.groupby("source")[row].nunique().idxmax()
        order = dict.fromkeys([*here[row][here["source"] == fullest], *here[row]])
        for value in order:
            label = METRICS[metric][0] if row == "metric" else str(value)
            if row != "metric" and rows["metric"].nunique() > 1:
                label = f"{METRICS[metric][0]}: {label}"
            lines = [
                (source, [_plus_minus(part, column, one, metric) for one in columns])
                for source, part in here[here[row] == value].groupby("source", sort=False)
            ]
            groups.append((label, lines))
    return render("grouped.html", row=row, columns=columns, groups=groups)


def _plus_minus(found: pd.DataFrame, column: str, value: str, metric: str) -> tuple[str, str]:
    """The one result for a value of a column, and half its interval, if there is any."""
    there = select(found, **{column: value})
    if there.empty:
        return "–", ""
    if len(there) > 1:
        raise ValueError(
            f"{len(there)} results for {column} {value!r} and metric {metric!r}: select one "
            "experiment and data set first."
        )
    one = there.iloc[0]
    share = METRICS[metric][1] in ("%", "points")
    scale, digits = (100, 1) if share else (1, 2)
    if one["source"] == numbers.PAPER:
        digits = 1 if metric == "miou" else 2 if share else 4
        return rounded(scale * one["value"], digits), ""
    half = rounded(scale * (one["high"] - one["low"]) / 2, digits)
    return rounded(scale * one["value"], digits), "" if np.isnan(one["low"]) else f"±{half}"


def said(drawn: pd.Series, unit: str) -> tuple[str, str]:
    """A number and its 95 % interval as text; the paper's, of which it gives none, without.

    Args:
        drawn: its value, and then its resamples over images; named as its source.
        unit: ``percent``, ``points``, ``share``, ``nats`` or ``ratio``.
    """
    scale, digits, after = _UNITS[unit]
    of_paper = drawn.name == numbers.PAPER
    digits += of_paper and unit in ("percent", "points")
    bounds = intervals.of_draws(drawn.to_numpy())
    value, low, high = (rounded(scale * bound, digits) for bound in bounds)
    return f"{value}{after}", "" if of_paper else f"({low} to {high})"


def download(sources: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """The rows behind a table as CSV, a column ``source`` and then theirs: the ``name`` of the
    file, the ``count`` of rows, and a ``href`` that holds them, so that no server is needed.
    """
    import pandas as pd

    frames = {
        name: frame[list(COLUMNS)] if set(COLUMNS) <= set(frame.columns) else frame
        for name, frame in sources.items()
    }
    rows = pd.concat(frames, names=["source"]).reset_index(level=0)
    of = [rows[column].unique() for column in ("experiment", "metric") if column in rows]
    named = [part[0] for part in of if len(part) == 1]
    text = rows.to_csv(index=False, float_format="%.7g", lineterminator="\n")
    return {
        "name": "-".join(named or sources).replace(" ", "-"),
        "count": len(rows),
        "href": f"data:text/csv;charset=utf-8;base64,{base64.b64encode(text.encode()).decode()}",
    }


# --- The ledger: a row a claim, a column a source -------------------------------------------------

LEDGER = "claims"
"""The target of the ledger in the book."""
MARKS = {
    criteria.REPRODUCED: "✓",
    criteria.NOT_REPRODUCED: "✗",
    criteria.UNDECIDED: "?",
    criteria.CONDITIONS_NOT_MET: "≪",
    criteria.NOT_RUN: "–",
}
_UNITS = {
    "percent": (100, 1, " %"),
    "points": (100, 1, " points"),
    "share": (100, 1, " %"),
    "nats": (1, 2, " nats"),
    "ratio": (1, 2, ""),
}


def counts(entries: Sequence[Entry]) -> dict[str, Counter[str]]:
    """Numbers of claims: source -> each verdict -> how many."""
    found = {}
    for source in entries[0].findings:
        found[source] = Counter(dict.fromkeys(criteria.VERDICTS, 0))
        found[source].update(entry.findings[source].verdict for entry in entries)
    return found


def finding_text(found: Finding) -> str:
    """The weakest criterion of a finding, with the interval of the level that decides, such as
    ``top-5 lost: 12.3 (11.0 to 13.6 at 99.3 %) points; criterion: > 0.0``; how many images would
    decide an undecided one; and the condition that is not met.
    """
    one, several = found.weakest, len(found.criteria)
    scale, digits, unit = _UNITS[one.unit]
    value, low, high = (rounded(scale * bound, digits) for bound in found.interval(one))
    between = "" if low == high else f" ({low} to {high} at {100 * (1 - found.rate):.4g} %)"
    text = f"{one.words}{f' (weakest of {several})' * (several > 1)}: {value}{between}{unit}; "
    text += f"criterion: {'>' if one.above else '<'} {rounded(scale * one.limit, digits)}"
    if enough := images_to_decide(found):
        text += f"; about {enough} images would decide it ({found.images:,.0f} are there)"
    return f"{text}; {found.missing}" if found.missing else text


def images_to_decide(found: Finding) -> str:
    """About how many test images would decide an undecided claim, such as ``3,400``; empty if it
    is not undecided, or if no number would.
    """
    if found.verdict != criteria.UNDECIDED or not np.isfinite(found.enough):
        return ""
    return f"{float(f'{max(found.enough, found.images):.2g}'):,.0f}"


_TEMPLATES.filters |= {
    "rounded": rounded,
    "finding_text": finding_text,
    "images_to_decide": images_to_decide,
}
_TEMPLATES.globals |= {"marks": MARKS, "page_of": page_of, "ledger": LEDGER}


# --- Provenance: what the numbers were made from --------------------------------------------------

ANCHORS = {numbers.PAPER: "run-paper", numbers.PHOTOS: "run-photos", numbers.RUN: "run-this"}
"""The target of the book where the provenance of each source stands."""
REFERENCES = HOME / "book" / "references.bib"
"""The first work in it is the paper."""


def provenance(source: Source, overrides: Mapping[str, Any] | None = None) -> str:
    """The provenance of a source as HTML: its run, its settings, and its artifacts by kind.

    Args:
        overrides: fields of its profile that were set for this run alone.
    """
    try:
        origin = source.origin()
    except numbers.MissingError:
        return "<p>Nothing is known of this run: its results are not part of this copy.</p>"
    stamps, kinds = origin.stamps, defaultdict(list)
    for stamp in stamps:
        kinds[stamp["kind"]].append(stamp)
    computed = [one for one in stamps if one["kind"] != "chapters"]  # which wait for one another
    settings, style = dict(origin.settings), {"allow_unicode": True, "default_flow_style": None}
    return render(
        "run.html",
        settings=settings,
        fields=yaml.safe_dump(settings, sort_keys=False, **style),
        overrides=overrides or {},
        stamps=stamps,
        commits=Counter((one.get("commit"), one.get("dirty")) for one in stamps).most_common(),
        data=list(_data(origin)),
        versions=list(dict.fromkeys(_versions(one) for one in stamps if "versions" in one)),
        devices=Counter(str(one.get("device") or "not known") for one in stamps).most_common(),
        spent=f"{_spent(computed)}, for {len(computed)} artifacts",
        made=sorted(one["made"] for one in stamps),
        kinds=[(kind, of_kind, _spent(of_kind)) for kind, of_kind in sorted(kinds.items())],
    )


def _data(origin: Origin) -> Iterator[tuple[str, str, Counter[str]]]:
    """Each fingerprint of data, the name of the set if it is known, and how many artifacts of each
    kind were made from it.
    """
    drawn = {stamp["key"]: stamp["name"] for stamp in origin.stamps if stamp["kind"] == "data"}
    made = defaultdict(list)
    for stamp in origin.stamps:
        if stamp.get("data"):
            made[stamp["data"]].append(stamp)
    for fingerprint, stamps in made.items():
        named = dict.fromkeys(filter(None, (_set_of(one, origin.settings) for one in stamps)))
        kinds = Counter(one["kind"] for one in stamps)
        yield fingerprint, drawn.get(fingerprint) or ", ".join(named), kinds


def _set_of(stamp: Stamp, settings: Mapping[str, Any]) -> str:
    """The set of images that an artifact was made from, if its name contains it."""
    if stamp["kind"] == "networks":
        return (settings["agreement"] if "/agreement" in stamp["name"] else settings)["train_set"]
    sets = [*settings["evaluation"]["test_sets"], settings["deblurring"]["prior"]["images"]]
    sets.append(settings["segmentation"]["data"])
    return next((one for one in sets if one in stamp["name"].split(".")), "")


def _versions(stamp: Stamp) -> str:
    versions = {"Python": stamp.get("python")} | stamp["versions"]
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _spent(stamps: Iterable[Stamp]) -> str:
    spent = sum(stamp.get("seconds") or 0 for stamp in stamps)
    for unit, seconds in (("h", 3600), ("min", 60)):
        if spent >= seconds:
            return f"{spent / seconds:,.1f} {unit}"
    return f"{spent:.1f} s"


def paper() -> str:
    """The provenance of the paper's numbers as HTML: the paper, the file of its numbers, and how
    many each experiment has.
    """
    rows = numbers.paper()
    text = REFERENCES.read_text(encoding="utf-8") if REFERENCES.is_file() else ""
    cited = re.search(r"arXiv:([\d.]+)", text)
    parts = {
        name: (len(part), *(", ".join(part[one].unique()) for one in ("model", "data")))
        for name, part in rows.groupby("experiment", sort=False)
    }
    return render(
        "paper.html",
        arxiv=cited[1] if cited else "",
        path=numbers.PAPER_ROWS.relative_to(numbers.PAPER_ROWS.parents[2]).as_posix(),
        sha256=sha256_of(numbers.PAPER_ROWS),
        count=len(rows),
        parts=parts,
    )
