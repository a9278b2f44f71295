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
from html import escape
from typing import TYPE_CHECKING, Any

import yaml

from blurpaper import results
from blurpaper.house import HOME
from blurpaper.plan import in_hours
from blurpaper.store import sha256_of

if TYPE_CHECKING:
    from blurpaper.profile import Profile
    from blurpaper.store import Store

PAPER, PHOTOS, RUN = "paper", "photos", "this run"
"""The sources, as the book calls them."""

SHORT = 12
"""Digits of a commit, a key or a checksum that are shown; the whole is told when it is pointed at.
"""

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


def stored(profile: Profile, store: Store, overrides: Mapping[str, Any] | None = None) -> Origin:
    """Of the run at hand: what the store keeps for a profile, the newest of each name, and what it
    was made from.

    Stamps that name no profile belong here if they say that they were made from something that
    does, or it from them.
    """
    found: list[Stamp] = []
    for name in store.names():
        try:
            stamp = json.loads((store.root / name / "stamp.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):  # being written or damaged: it is then not loaded either
            continue
        if {"kind", "name", "key", "made"} <= set(stamp):
            found.append(stamp)
    kept = sorted(
        _belonging(found, profile.name),
        key=lambda stamp: (stamp["kind"], stamp["name"], stamp["made"]),
    )
    return Origin(profile.model_dump(), overrides or {}, kept)


def _newest(stamps: Iterable[Stamp]) -> list[Stamp]:
    """Of the artifacts of one kind and name, of the same images at the same precision, the one made
    last.
    """

    def identity(stamp: Stamp) -> tuple[str, ...]:
        inputs = stamp.get("inputs", {})
        return tuple(
            map(str, (stamp["kind"], stamp["name"], inputs.get("numbers"), inputs.get("precision")))
        )

    return list(
        {
            identity(stamp): stamp for stamp in sorted(stamps, key=lambda stamp: stamp["made"])
        }.values()
    )


def _belonging(stamps: Iterable[Stamp], profile: str) -> list[Stamp]:
    """Those that name the profile, those that these were made from, and those of no profile that
    were made from these.
    """
    kept = _newest(stamp for stamp in stamps if stamp.get("profile") == profile)
    others = {
        stamp["key"]: (stamp, set(_words(stamp.get("inputs", {}))))
        for stamp in stamps
        if stamp.get("profile") != profile
    }
    used = {word for stamp in kept for word in _words(stamp.get("inputs", {}))}
    while ingredients := used & set(others):
        for key in ingredients:
            stamp, words = others.pop(key)
            kept.append(stamp)
            used |= words
    derived, known = [], used | {stamp["key"] for stamp in kept}
    nameless = [pair for pair in others.values() if "profile" not in pair[0]]
    while more := [pair for pair in nameless if pair[1] & known]:
        derived += [stamp for stamp, _ in more]
        known |= {word for _, words in more for word in words}
        nameless = [pair for pair in nameless if pair not in more]
    return kept + _newest(derived)


def _words(value: object) -> Iterator[str]:
    """All keys and fingerprints, at any depth of some inputs."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _words(one)
    elif isinstance(value, str) and re.fullmatch("[0-9a-f]{16}", value):
        yield value


# --- Telling them ---------------------------------------------------------------------------------


def described(origin: Origin | None) -> str:
    """A run as HTML: what is known of it, its settings, and its artifacts, folded away by kind."""
    if origin is None:
        return "<p>Nothing is known of this run: its results are not part of this copy.</p>"
    facts = "".join(f"<dt>{name}</dt><dd>{told}</dd>" for name, told in _facts(origin))
    settings = escape(
        yaml.safe_dump(
            dict(origin.settings), sort_keys=False, allow_unicode=True, default_flow_style=None
        )
    )
    kinds = defaultdict(list)
    for stamp in origin.stamps:
        kinds[stamp["kind"]].append(stamp)
    artifacts = "".join(_of_kind(kind, stamps) for kind, stamps in sorted(kinds.items()))
    return (
        f'<div class="blurpaper-run"><dl>{facts}</dl>'
        f"<details><summary>Every field of the profile</summary><pre>{settings}</pre></details>{artifacts}</div>"
    )


def _facts(origin: Origin) -> Iterator[tuple[str, str]]:
    """What is known of a run as a whole, each with its name, as HTML."""
    settings, stamps = origin.settings, origin.stamps
    yield (
        "profile",
        f"<code>{escape(str(settings['name']))}</code>: {escape(str(settings.get('title', '')))}",
    )
    changed = ", ".join(
        f"<code>{escape(f'{name} = {value}')}</code>" for name, value in origin.overrides.items()
    )
    yield "overrides", changed or "none"
    yield "seeds", escape(_seeds(settings))
    if not stamps:
        yield "artifacts", "none is kept for this profile yet"
        return
    yield "commits", _counted(_commit(stamp) for stamp in stamps)
    yield "data, by fingerprint", "<br>".join(_data(origin))
    versions = dict.fromkeys(_versions(stamp) for stamp in stamps if "versions" in stamp)
    yield "versions", "<br>".join(map(escape, versions)) or "not known"
    yield "devices", _counted(escape(str(stamp.get("device") or "not known")) for stamp in stamps)
    computed = [
        stamp for stamp in stamps if stamp["kind"] != "chapters"
    ]  # which wait for one another
    yield "computing time", f"{escape(_spent(computed))}, for {len(computed)} artifacts"
    made = sorted(stamp["made"] for stamp in stamps)
    yield "made", f"from {_time(made[0])} to {_time(made[-1])}, UTC"


def _seeds(settings: Mapping[str, Any]) -> str:
    """The seed of the run, those of its further networks, and those of what is drawn."""
    networks = sorted(
        {
            int(name.rpartition("#")[2])
            for name in settings["evaluation"]["finetuned"]
            if "#" in name
        }
    )
    told = [f"{settings['seed']}"]
    if networks:
        told.append(f"some networks trained again from {', '.join(map(str, networks))}")
    if "emoji" in settings["evaluation"]["test_sets"]:
        told.append(f"embedded images {settings['emoji']['seed']}")
    if settings.get("segmentation", {}).get("data") == "emoji-scenes":
        told.append(f"embedded scenes {settings['segmentation']['scenes']['seed']}")
    return "; ".join(told)


def _data(origin: Origin) -> Iterator[str]:
    """Each fingerprint of data, with the name of the set where one is told, and what was made from
    it.
    """
    drawn = {stamp["key"]: stamp["name"] for stamp in origin.stamps if stamp["kind"] == "data"}
    made = defaultdict(list)
    for stamp in origin.stamps:
        if stamp.get("data"):
            made[stamp["data"]].append(stamp)
    for fingerprint, stamps in made.items():
        named = drawn.get(fingerprint) or ", ".join(
            dict.fromkeys(filter(None, (_set_of(s, origin.settings) for s in stamps)))
        )
        kinds = ", ".join(
            f"{escape(kind)} {count}"
            for kind, count in Counter(stamp["kind"] for stamp in stamps).items()
        )
        yield f"<code>{escape(fingerprint)}</code> {escape(named)}: {kinds}"


def _set_of(stamp: Stamp, settings: Mapping[str, Any]) -> str:
    """The set of images that an artifact was made from, as far as its name tells."""
    if stamp["kind"] == "networks":
        return (
            settings["agreement"]["train_set"]
            if "/agreement" in stamp["name"]
            else settings["train_set"]
        )
    sets = [*settings["evaluation"]["test_sets"], settings["deblurring"]["prior"]["images"]]
    sets += [settings["segmentation"]["data"]] if "segmentation" in settings else []
    return next((one for one in sets if one in stamp["name"].split(".")), "")


def _of_kind(kind: str, stamps: Sequence[Stamp]) -> str:
    """The artifacts of one kind, folded away."""
    rows = [
        (
            escape(stamp["name"]),
            _short(stamp["key"]),
            _commit(stamp),
            _time(stamp["made"]),
            "–" if stamp.get("seconds") is None else f"{stamp['seconds']:,.1f}",
            _short(stamp.get("data")),
            _short(stamp.get("sha256")),
        )
        for stamp in stamps
    ]
    count = f"{len(stamps)} artifact{'' if len(stamps) == 1 else 's'}"
    heads = ("name", "key", "commit", "made", "seconds", "data", "sha256")
    return _folded(f"{escape(kind)}: {count}, {_spent(stamps)}", heads, rows)


def _folded(summary: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table behind its summary; the first cell of a row is its head."""
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    body = "".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'
        for first, *cells in rows
    )
    table = f'<table class="blurpaper"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return f'<details><summary>{summary}</summary><div class="wide" tabindex="0">{table}</div></details>'


def _commit(stamp: Stamp) -> str:
    return _short(stamp.get("commit")) + (" and uncommitted changes" if stamp.get("dirty") else "")


def _short(digits: str | None) -> str:
    return f'<code title="{escape(digits)}">{escape(digits[:SHORT])}</code>' if digits else "–"


def _time(made: str) -> str:
    return f'<time datetime="{escape(made)}">{escape(made[:16].replace("T", " "))}</time>'


def _versions(stamp: Stamp) -> str:
    return f"Python {stamp.get('python')}, " + ", ".join(
        f"{name} {version}" for name, version in stamp["versions"].items()
    )


def _spent(stamps: Sequence[Stamp]) -> str:
    spent = sum(stamp.get("seconds") or 0 for stamp in stamps)
    return in_hours(spent / 3600) if spent >= 60 else f"{spent:.1f} s"


def _counted(told: Iterator[str]) -> str:
    """Each of some words once, with the number of artifacts that it is true of."""
    return "<br>".join(
        f"{one} ({count} artifact{'' if count == 1 else 's'})"
        for one, count in Counter(told).most_common()
    )


def paper() -> str:
    """The paper's numbers as HTML: where it and the file of them are to be found, and how many each
    experiment has.
    """
    rows = results.paper()
    path = f"{results.PAPER.parent.parent.name}/{results.PAPER.parent.name}/{results.PAPER.name}"
    facts = f"<dt>file</dt><dd><code>{escape(path)}</code>, sha256 {_short(sha256_of(results.PAPER))}</dd>"
    cited = (
        re.search(r"arXiv:([\d.]+)", REFERENCES.read_text(encoding="utf-8"))
        if REFERENCES.is_file()
        else None
    )
    if cited:
        facts = f'<dt>paper</dt><dd><a href="https://arxiv.org/abs/{cited[1]}">{cited[0]}</a></dd>{facts}'
    parts = [
        (
            escape(name),
            str(len(part)),
            *(escape(", ".join(part[column].unique())) for column in ("model", "data")),
        )
        for name, part in rows.groupby("experiment", sort=False)
    ]
    folded = _folded(
        f"{len(rows)} numbers, by experiment", ("experiment", "numbers", "model", "data"), parts
    )
    return f'<div class="blurpaper-run"><dl>{facts}</dl>{folded}</div>'
