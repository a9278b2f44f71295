"""Checks of a book: chapters not executed, results older than their code, claims without a verdict.

Each part gives a sentence for each problem; :func:`check` gathers them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blurpaper import claims
from blurpaper.book import build
from blurpaper.experiments.sources import RUN, Committed, MissingError, this_run
from blurpaper.runs import fingerprint
from blurpaper.runs.profile import Profile

if TYPE_CHECKING:
    from nbformat import NotebookNode

_OF_NO_NUMBER = {"title", "compute.device", "compute.checkpoint_seconds", "evaluation.batch"}
"""Fields of a profile that change no result."""


def check(profile: Profile, published: bool = False) -> tuple[list[str], list[dict[str, Any]]]:
    """All problems, and every claim with its section and verdicts.

    Claims are decided once the chapters are in order (or, if ``published``, once there are
    results): this loads what the chapters computed, and a check must not start to train.
    """
    unready = _unpublished(profile) if published else unexecuted(profile)
    decided = [] if unready else claims.summary(this_run(profile, published))
    return [*unready, *stale(profile), *open_claims(decided)], decided


def outcome(problems: int, decided: int, profile: Profile, published: bool = False) -> str:
    """The outcome of a check in one line: the number of problems, or what was checked."""
    if problems:
        waiting = "" if decided else "; the claims were not looked at"
        return f"{problems} problem{'' if problems == 1 else 's'}{waiting}"
    checked = [] if published else [f"{len(build.chapters())} chapters of profile {profile.name}"]
    if not _unpublished(profile):
        checked.append(f"results/{profile.name}.csv")
    return f"nothing wrong: {', '.join(checked)}, {decided} claims were checked"


# --- Chapters -------------------------------------------------------------------------------------


def unexecuted(profile: Profile) -> list[str]:
    """The problem of each chapter that is not executed, in error, or executed from other text,
    settings or code.
    """
    found = []
    for chapter in build.chapters():
        if fault := _fault(chapter, profile):
            again = f"blurpaper chapter {chapter[:2]} --profile {profile.name}"
            found.append(f"chapter {chapter} {fault}; run `{again}`")
    return found


def _fault(chapter: str, profile: Profile) -> str:
    import jupytext
    import nbformat

    path = build.executed(chapter, profile)
    if not path.is_file():
        return f"has not been executed for profile {profile.name}"
    try:
        executed = nbformat.read(path, as_version=4)
    except ValueError:
        return f"is not a notebook any more, at {path}"
    script = build.NOTEBOOKS / f"{chapter}.py"
    cells = [cell for cell in executed.cells if cell.cell_type == "code" and cell.source.strip()]
    errors = [one for cell in cells for one in cell.outputs if one.output_type == "error"]
    if errors:
        return f"ended in an error ({errors[0].ename}: {errors[0].evalue})"
    if skipped := sum(cell.execution_count is None for cell in cells):
        return f"has {skipped} cell{'' if skipped == 1 else 's'} that never ran"
    if _text(executed) != _text(jupytext.read(script)):
        return "was edited after it was executed"
    return _provenance_fault(executed.metadata.get("blurpaper"), script, profile)


def _text(notebook: NotebookNode) -> list[tuple[str, str, list[str]]]:
    """The source of a notebook, cell by cell, without the parameters that papermill put in."""
    cells = [
        (cell.cell_type, cell.source.strip(), sorted(cell.metadata.get("tags", [])))
        for cell in notebook.cells
    ]
    return [cell for cell in cells if "injected-parameters" not in cell[2]]


def _provenance_fault(made: Mapping[str, Any] | None, script: Path, profile: Profile) -> str:
    if made is None:
        return "was executed when its code was not recorded yet"
    if made["published"]:
        return "shows the committed results, not those of a run (`--published` checks those)"
    if other := _differing(made["settings"], profile.model_dump(mode="json")):
        return f"was executed with other settings ({', '.join(other)})"
    now = fingerprint.fingerprint(fingerprint.used_by(script.read_text(encoding="utf-8")))
    return "" if now == made["code"] else "was executed with other code"


def _differing(one: object, other: object, name: str = "") -> list[str]:
    """Dotted names of the fields in which two profiles differ."""
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return [] if one == other else [name]
    names = sorted({*one, *other})
    return [
        found
        for key in names
        for found in _differing(one.get(key), other.get(key), f"{name}.{key}".lstrip("."))
    ]


# --- Committed results ----------------------------------------------------------------------------


def _unpublished(profile: Profile) -> list[str]:
    if Committed(profile).is_there():
        return []
    return [
        f"no results of profile {profile.name} are committed; run `blurpaper publish --profile "
        f"{profile.name}`"
    ]


def stale(profile: Profile) -> list[str]:
    """The changes of code and settings since the results of a profile were committed, a sentence
    each.

    A changed module makes stale every artifact that depends on it, and the tables if it makes rows.
    """
    if _unpublished(profile):
        return []
    table = f"results/{profile.name}.csv"
    again = f"run `blurpaper publish --profile {profile.name}`"
    try:
        publications = Committed(profile).publications()
    except MissingError:
        return [f"nothing says how {table} was made, as {profile.name}.json is missing; {again}"]
    found = []
    for made in publications:
        if len(publications) > 1:
            names = made["experiments"]
            table = f"results/{profile.name}.csv ({', '.join(names)})"
            again = (
                f"run `blurpaper publish --profile {profile.name} --experiments {','.join(names)}`"
            )
        found += _stale(made, profile, table, again)
    return found


def _stale(made: Mapping[str, Any], profile: Profile, table: str, again: str) -> Iterator[str]:
    """The changes since one publication of some experiments."""
    if "code" not in made:
        yield f"{table} is older than its code; {again}"
    # A module is identified by the hash of its code: it may have been moved since.
    now = {fingerprint.hash_of(module) for module in fingerprint.library()}
    changed = {module for module, was in made.get("code", {}).items() if was not in now}
    if changed:
        touched = Counter(
            artifact["kind"]
            for artifact in made["artifacts"]
            if changed & {one for root in artifact["modules"] for one in made["closures"][root]}
        )
        kinds = [f"{count} {kind}" for kind, count in touched.most_common()]
        kinds += ["the tables"] * bool(changed & set(made["tables"]))
        yield (
            f"{table} is older than its code: {', '.join(sorted(changed))} changed since; "
            f"stale are {', '.join(kinds)}; {again}"
        )
    differing = _differing(made["profile"], profile.model_dump(mode="json"))
    if settings := [name for name in differing if name not in _OF_NO_NUMBER]:
        yield (
            f"profile {profile.name} has changed since {table} was made ({', '.join(settings)}); "
            f"{again}"
        )


# --- Claims ---------------------------------------------------------------------------------------


def open_claims(decided: list[dict[str, Any]]) -> list[str]:
    """Claims that this run neither decides nor tests, without an explanation."""
    return [
        f"claim {claim['id']} (Sec. {claim['section']}) has no verdict in this run, and nothing "
        "says why"
        for claim in decided
        if claim["verdict"].get(RUN) in (None, "not run", "conditions not met")
        and not (claim.get("explained") or {}).get(RUN)
    ]
