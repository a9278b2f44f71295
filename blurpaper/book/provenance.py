"""Where the numbers come from: the stamps of what they were made from, for each of the sources that
the book puts side by side.

A run is known by the stamps of its artifacts. Nothing is loaded or computed here.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import yaml

from blurpaper.book.tables import render
from blurpaper.experiments import sources
from blurpaper.experiments.sources import (
    PAPER,
    PHOTOS,
    RUN,
    MissingError,
    Origin,
    Source,
    Stamp,
)
from blurpaper.runs.files import HOME
from blurpaper.runs.store import sha256_of

ANCHORS = {PAPER: "run-paper", PHOTOS: "run-photos", RUN: "run-this"}
"""The target of the book where each source is accounted for."""

REFERENCES = HOME / "book" / "references.bib"
"""The first work in it is the paper."""


def described(source: Source, overrides: Mapping[str, Any] | None = None) -> str:
    """A run as HTML: what is known of it, its settings, and its artifacts, folded away by kind.

    Args:
        overrides: fields of its profile that were set for this run alone.
    """
    try:
        origin = source.origin()
    except MissingError:
        return "<p>Nothing is known of this run: its results are not part of this copy.</p>"
    stamps, kinds = origin.stamps, defaultdict(list)
    for stamp in stamps:
        kinds[stamp["kind"]].append(stamp)
    computed = [one for one in stamps if one["kind"] != "chapters"]  # which wait for one another
    settings = dict(origin.settings)
    return render(
        "run.html",
        settings=settings,
        fields=yaml.safe_dump(
            settings, sort_keys=False, allow_unicode=True, default_flow_style=None
        ),
        overrides=overrides or {},
        seeds=_seeds(settings),
        stamps=stamps,
        commits=Counter((one.get("commit"), one.get("dirty")) for one in stamps).most_common(),
        data=list(_data(origin)),
        versions=list(dict.fromkeys(_versions(one) for one in stamps if "versions" in one)),
        devices=Counter(str(one.get("device") or "not known") for one in stamps).most_common(),
        spent=f"{_spent(computed)}, for {len(computed)} artifacts",
        made=sorted(one["made"] for one in stamps),
        kinds=[(kind, of_kind, _spent(of_kind)) for kind, of_kind in sorted(kinds.items())],
    )


def _seeds(settings: Mapping[str, Any]) -> str:
    """The seed of the run, those of its further networks, and those of what is drawn."""
    told, evaluation = [f"{settings['seed']}"], settings["evaluation"]
    seeds = sorted(
        {int(one.rpartition("#")[2]) for one in evaluation["finetuned_networks"] if "#" in one}
    )
    if seeds:
        told.append(f"some networks trained again from {', '.join(map(str, seeds))}")
    if "emoji" in evaluation["test_sets"]:
        told.append(f"embedded images {settings['emoji']['seed']}")
    if settings["segmentation"]["data"] == "emoji-scenes":
        told.append(f"embedded scenes {settings['segmentation']['scenes']['seed']}")
    return "; ".join(told)


def _data(origin: Origin) -> Iterator[tuple[str, str, Counter[str]]]:
    """Each fingerprint of data, the name of the set where one is told, and how many artifacts of
    each kind were made from it.
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
    """The set of images that an artifact was made from, as far as its name tells."""
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
    """The paper's numbers as HTML: where it and the file of them are to be found, and how many each
    experiment has.
    """
    rows = sources.paper()
    text = REFERENCES.read_text(encoding="utf-8") if REFERENCES.is_file() else ""
    cited = re.search(r"arXiv:([\d.]+)", text)
    parts = {
        name: (len(part), *(", ".join(part[one].unique()) for one in ("model", "data")))
        for name, part in rows.groupby("experiment", sort=False)
    }
    return render(
        "paper.html",
        arxiv=cited[1] if cited else "",
        path=sources.PAPER_ROWS.relative_to(sources.PAPER_ROWS.parents[2]).as_posix(),
        sha256=sha256_of(sources.PAPER_ROWS),
        count=len(rows),
        parts=parts,
    )
