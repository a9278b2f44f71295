"""Where the numbers come from: the stamps of what they were made from, for each of the sources that
the book puts side by side.

A run is known by the stamps of its artifacts. Committed results carry theirs in
``results/<profile>.json``; of a run at hand the store has them. Nothing is loaded or computed here.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from blurpaper.book.tables import render
from blurpaper.experiments import results
from blurpaper.experiments.sources import PAPER, PHOTOS, RUN
from blurpaper.runs import Run
from blurpaper.runs.files import HOME
from blurpaper.runs.store import sha256_of

if TYPE_CHECKING:
    pass

ANCHORS = {PAPER: "run-paper", PHOTOS: "run-photos", RUN: "run-this"}
"""The target of the book where each source is accounted for."""

REFERENCES = HOME / "book" / "references.bib"
"""The first work in it is the paper."""

Stamp = Mapping[str, Any]


@dataclass(frozen=True)
class Origin:
    """How the numbers of one run were made.

    Attributes:
        settings: the resolved profile, as plain data.
        overrides: fields of it that were set for this run alone.
        stamps: of the artifacts, by kind and name.
    """

    settings: Mapping[str, Any]
    overrides: Mapping[str, Any]
    stamps: Sequence[Stamp]


# --- Finding the stamps ---------------------------------------------------------------------------


def committed(profile: str, overrides: Mapping[str, Any] | None = None) -> Origin | None:
    """Of the committed results of a profile; None if they say nothing of it. The seconds are those
    of the timings.
    """
    path = results.PUBLISHED / f"{profile}.json"
    if not path.is_file():
        return None
    about = json.loads(path.read_text(encoding="utf-8"))
    took = defaultdict(list)
    for row in results.published_timings(profile):
        took[row["kind"], row["name"]].append(float(row["seconds"]))
    # Artifacts of one kind and name, of which there may be several, stand in the same order in both
    # files.
    common = {name: about[name] for name in ("python", "versions") if name in about}
    stamps = []
    for one in about["artifacts"]:
        seconds = took[one["kind"], one["name"]]
        stamps.append(common | one | {"seconds": seconds.pop(0) if seconds else None})
    return Origin(about["profile"], overrides or {}, stamps)


def stored(run: Run, overrides: Mapping[str, Any] | None = None) -> Origin:
    """Of the run at hand: what the store keeps for a profile, the newest of each name; what that
    was made from; and what names no profile and was made from any of these.
    """
    found: list[Stamp] = []
    for name in run.store.names():
        try:
            stamp = json.loads((run.store.root / name / "stamp.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):  # being written or damaged: it is then not loaded either
            continue
        if {"kind", "name", "key", "made"} <= set(stamp):
            found.append(stamp)
    by_key = {stamp["key"]: stamp for stamp in found}
    kept = {stamp["key"]: stamp for stamp in _newest(found, run.profile.name)}
    wanted = list(kept.values())
    for stamp in wanted:  # which grows
        for key in set(stamp.get("parents", ())) & (set(by_key) - set(kept)):
            kept[key] = by_key[key]
            wanted.append(by_key[key])
    made = [stamp for stamp in _newest(found, None) if set(stamp.get("parents", ())) & set(kept)]
    kept |= {stamp["key"]: stamp for stamp in made}
    order = sorted(kept.values(), key=lambda one: (one["kind"], one["name"], one["made"]))
    return Origin(run.profile.model_dump(), overrides or {}, order)


def _newest(stamps: Iterable[Stamp], profile: str | None) -> list[Stamp]:
    """Of the artifacts of a profile that have the same name, images and precision, the last made."""
    last = {}
    for stamp in sorted(stamps, key=lambda stamp: stamp["made"]):
        if stamp.get("profile") == profile:
            inputs = stamp.get("inputs", {})
            of = [str(inputs.get(name)) for name in ("numbers", "precision")]
            last[stamp["kind"], stamp["name"], *of] = stamp
    return list(last.values())


# --- Telling them ---------------------------------------------------------------------------------


def described(origin: Origin | None) -> str:
    """A run as HTML: what is known of it, its settings, and its artifacts, folded away by kind."""
    if origin is None:
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
        overrides=origin.overrides,
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
    rows = results.paper()
    text = REFERENCES.read_text(encoding="utf-8") if REFERENCES.is_file() else ""
    cited = re.search(r"arXiv:([\d.]+)", text)
    parts = {
        name: (len(part), *(", ".join(part[one].unique()) for one in ("model", "data")))
        for name, part in rows.groupby("experiment", sort=False)
    }
    return render(
        "paper.html",
        arxiv=cited[1] if cited else "",
        path=results.PAPER.relative_to(results.PAPER.parents[2]).as_posix(),
        sha256=sha256_of(results.PAPER),
        count=len(rows),
        parts=parts,
    )
