"""What may be wrong with a book: chapters not executed, results older than their code, claims left
open, numbers typed in prose.

Each part yields sentences, one a failing; :func:`check` gathers them.
"""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blurpaper import book, code, results
from blurpaper.profile import Profile
from blurpaper.provenance import RUN

if TYPE_CHECKING:
    from nbformat import NotebookNode

_OF_NO_NUMBER = {
    "title",
    "compute.device",
    "compute.checkpoint_seconds",
    "evaluation.batch",
}
"""Fields of a profile that change no result."""


def check(profile: Profile, published: bool = False) -> tuple[list[str], list[dict[str, Any]]]:
    """All that is wrong, and the verdicts on the claims.

    Claims wait until the chapters are in order (or, if ``published``, until there are results):
    deciding them loads what the chapters computed, and checking must not start to train.

    >>> import tempfile
    >>> from unittest.mock import patch
    >>> from blurpaper.profile import load
    >>> nothing = Path(tempfile.mkdtemp())
    >>> with patch.multiple(book, ROOT=nothing, NOTEBOOKS=nothing):
    ...     problems, claims = check(load("smoke"), published=True)
    >>> problems, claims
    (['no results of profile smoke are committed; run `blurpaper publish --profile smoke`'], [])
    """
    unready = _unpublished(profile) if published else unexecuted(profile)
    claims = [] if unready else claims_of(profile, published)
    return [*unready, *stale(profile), *open_claims(claims), *typed_numbers()], claims


def outcome(problems: int, claims: int, profile: Profile, published: bool = False) -> str:
    """How a check ended, in one line: how much is wrong, or what was seen to be right.

    >>> from blurpaper.profile import load
    >>> outcome(2, 0, load("smoke"))
    '2 problems; the claims were not looked at'
    >>> outcome(0, 31, load("emoji"), published=True)
    'nothing wrong: results/emoji.csv, 31 claims and the prose were checked'
    """
    if problems:
        waiting = "" if claims else "; the claims were not looked at"
        return f"{problems} problem{'' if problems == 1 else 's'}{waiting}"
    chapters, table = (
        f"{len(book.chapters())} chapters of profile {profile.name}",
        f"results/{profile.name}.csv",
    )
    committed = not _unpublished(profile)
    seen = [table] if published else [chapters, *([table] if committed else [])]
    return f"nothing wrong: {', '.join(seen)}, {claims} claims and the prose were checked"


# --- Chapters -------------------------------------------------------------------------------------


def unexecuted(profile: Profile) -> list[str]:
    """What is wrong with each chapter: not executed, in error, or executed from other text,
    settings or code than there are.

    >>> from blurpaper.profile import load
    >>> unexecuted(load("smoke", {"name": "never-run"}))[0]
    'chapter 00_introduction has not been executed for profile never-run; run `blurpaper chapter 00 --profile never-run`'
    """
    found = []
    for chapter in book.chapters():
        if fault := _fault(chapter, profile):
            again = f"blurpaper chapter {chapter[:2]} --profile {profile.name}"
            found.append(f"chapter {chapter} {fault}; run `{again}`")
    return found


def _fault(chapter: str, profile: Profile) -> str:
    import jupytext
    import nbformat

    path = book.executed(chapter, profile)
    if not path.is_file():
        return f"has not been executed for profile {profile.name}"
    try:
        executed = nbformat.read(path, as_version=4)
    except ValueError:
        return f"is not a notebook any more, at {path}"
    script = book.NOTEBOOKS / f"{chapter}.py"
    cells = [cell for cell in executed.cells if cell.cell_type == "code" and cell.source.strip()]
    for output in (
        output for cell in cells for output in cell.outputs if output.output_type == "error"
    ):
        return f"ended in an error ({output.ename}: {output.evalue})"
    if skipped := sum(cell.execution_count is None for cell in cells):
        return f"has {skipped} cell{'' if skipped == 1 else 's'} that never ran"
    if _text(executed) != _text(jupytext.read(script)):
        return "was edited after it was executed"
    return _provenance_fault(executed.metadata.get("blurpaper"), script, profile)


def _text(notebook: NotebookNode) -> list[tuple[str, str, list[str]]]:
    """What a notebook says, cell by cell, without the parameters that papermill put in."""
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
    now = code.fingerprint(code.used_by(script.read_text(encoding="utf-8")))
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
    if (results.PUBLISHED / f"{profile.name}.csv").is_file():
        return []
    return [
        f"no results of profile {profile.name} are committed; run `blurpaper publish --profile {profile.name}`"
    ]


def stale(profile: Profile) -> list[str]:
    """What has changed since the results of a profile were committed: a sentence for each module,
    and one for its settings.

    A module touches every artifact that it helped to make, and the tables if it is one of those
    that count.

    >>> from blurpaper.profile import load
    >>> stale(load("emoji", {"evaluation.bootstrap": 7}))[-1].partition(" since")[0]
    'profile emoji has changed'
    """
    if _unpublished(profile):
        return []
    path = results.PUBLISHED / f"{profile.name}.json"
    table, again = (
        f"results/{profile.name}.csv",
        f"run `blurpaper publish --profile {profile.name}`",
    )
    made = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    found = []
    if "code" not in made:
        found.append(f"{table} is older than its code; {again}")
    # A module is known by what it says: it may have been moved since.
    now = {code.hash_of(module) for module in code.library()}
    changed = {module for module, was in made.get("code", {}).items() if was not in now}
    if changed:
        touched = Counter(
            artifact["kind"]
            for artifact in made["artifacts"]
            if changed & {one for root in artifact["modules"] for one in made["closures"][root]}
        )
        kinds = [f"{count} {kind}" for kind, count in touched.most_common()]
        kinds += ["the tables"] * bool(changed & set(made["tables"]))
        found.append(
            f"{table} is older than its code: {', '.join(sorted(changed))} changed since; "
            f"stale are {', '.join(kinds)}; {again}"
        )
    settings = [
        name
        for name in _differing(made["profile"], profile.model_dump(mode="json"))
        if name not in _OF_NO_NUMBER
    ]
    if settings:
        found.append(
            f"profile {profile.name} has changed since {table} was made ({', '.join(settings)}); {again}"
        )
    return found


# --- Claims ---------------------------------------------------------------------------------------


def claims_of(profile: Profile, published: bool = False) -> list[dict[str, Any]]:
    """Every claim with its section and verdicts, of this run or of the committed results.

    >>> from blurpaper.profile import load
    >>> found = claims_of(load("emoji", {"evaluation.bootstrap": 20}), published=True)
    >>> {one["id"]: one["verdict"]["paper"] for one in found}["mix-recovers-most-of-the-loss"]
    'reproduced'
    """
    from blurpaper import claims, experiments
    from blurpaper.store import Store

    return claims.summary(profile, experiments.Published() if published else Store())


def open_claims(claims: list[dict[str, Any]]) -> list[str]:
    """The claims that this run neither decides nor says why not.

    >>> verdicts = {"blur-hurts": "not run", "scale-helps": "reproduced"}
    >>> open_claims([{"id": name, "section": "3", "verdict": {RUN: one}} for name, one in verdicts.items()])
    ['claim blur-hurts (Sec. 3) has no verdict in this run, and nothing says why']
    """
    return [
        f"claim {claim['id']} (Sec. {claim['section']}) has no verdict in this run, and nothing says why"
        for claim in claims
        if claim["verdict"].get(RUN) in (None, "not run")
        and not (claim.get("explained") or {}).get(RUN)
    ]


# --- Prose ----------------------------------------------------------------------------------------

_NOT_MEASURED = (
    r"(?!\w|[.,]\d|\s*(?:%|points?\b|times\b|(?:milli)?seconds?\b|minutes?\b|hours?\b|days?\b|m?s\b|[kMGT]i?B\b|nats?\b"
    r"|images\b|photographs\b|networks\b|claims\b|steps\b|epochs\b))"
)
"""After a number that is a name: what would make it a quantity."""
_REFERENCE = rf"(?>\d+(?:\.\d+)*){_NOT_MEASURED}"

NAMES = {
    "a place in the paper or the book": r"\b(?:Tables?|Fig(?:ures?|s?\.)|Sec(?:tions?|s?\.)|[Cc]hapters?|Eq\.)\s+"
    rf"{_REFERENCE}(?:(?:,|,?\s+(?:and|to))\s+{_REFERENCE})*",
    "a year": rf"(?:\b(?:in|since|VOC|ILSVRC|ImageNet)\s+|\()(?:19[5-9]|20[0-3])\d{_NOT_MEASURED}",
    "a paper": r"\barXiv[: ]\d{4}\.\d{4,5}\b",
    "a scale of the paper": rf"(?<![\w.,])(?:128|256|512)(?:\s*\+\s*512)?{_NOT_MEASURED}",
    "the canonical scale, those before the blur, or the crop": rf"(?<![\w.,])(?:384|356|410|224){_NOT_MEASURED}",
    "a word that ends in a number: D8, top-5, VGG-16, bfloat16": r"(?<![\w.])[A-Za-z][A-Za-z-]*\d+\b(?![.,]\d)",
    "the size of a PSF": rf"\b(?:radius|deviations?)\s+(?:of\s+)?\d{{1,2}}(?:\s+(?:to|and)\s+\d{{1,2}})?{_NOT_MEASURED}"
    r"|(?<![\w.,])\d{1,2}\s+pixels\b",
    "a patch, a grid or a window": rf"(?<![\w.,])\d+\s*[×x]\s*\d+{_NOT_MEASURED}",
    "a stride": rf"\bstride\s+\d{_NOT_MEASURED}",
    "a depth of grey levels": r"\b8[ -]bits?\b",
    "a spectrum": r"\b1/f\b",
    "what an interval covers": r"\b95\s*%\s+(?:confidence\s+)?intervals?\b",
    "the end of a scale of values": r"(?<![\w.,])0\s+is\b",
    "the paper's test images": r"\bImageNet's\s+50,000\b",
    "a licence or a version": r"\b(?:CC BY(?:-SA)?|Apache|Python|CUDA)\s+\d+(?:\.\d+)*\b",
}
"""What a number in prose may be without being computed: not a result but part of a name, with the
pattern that tells it.
"""

_NOT_PROSE = [
    r"\A---\n.*?\n---\n",  # front matter
    r"^(?P<fence>`{3,}+|~{3,}+)(?!\{(?!code|bibliography|math|figure|image)).*?^(?P=fence)\s*$",  # code; notes and such are prose
    r"^(?:`{3,}|~{3,}|:{3,})(?:\{[\w:-]+\})?|^:\w[\w-]*:[^\n]*$|^\([\w-]+\)=$",  # the ends, options and labels of directives
    r"\$\$.+?\$\$",
    r"\$(?![\d.,]+\s*(?:\\,|\\ )?(?:\\?%)?\s*\$)[^$\n]+\$",  # maths, but for a bare number
    r"\{[\w:-]+\}`[^`]*`",  # citations and other roles
    r"(`+)(?!\d)[^`]+\1",  # code, but for what begins with a number
    r"\]\([^)\s]*\)|<?https?://[^\s>)]+>?|^\[[^\]]+\]:[^\n]*$",  # targets of links
    r"<!--.*?-->|</?\w[^>]*>",
    r"^#+\s+\d+(?:\.\d+)*\.?\s|^\s*\d+[.)]\s",  # numbering of headings and lists
]
_TOLD = {"say", "figure", "photograph", "table"}
"""Methods of a page whose strings are read: sentences, captions and texts for those who cannot see
a figure.
"""


def typed_numbers() -> list[str]:
    """Numbers that somebody typed in the prose of a notebook, in what its code says, or in a page
    of the book.

    >>> import tempfile
    >>> from unittest.mock import patch
    >>> root = Path(tempfile.mkdtemp())
    >>> (root / "book").mkdir()
    >>> _ = (root / "book" / "page.md").write_text("Under blur it falls to 61.2 %, in Table 3.")
    >>> with patch.multiple(book, ROOT=root, NOTEBOOKS=root):
    ...     typed_numbers()[0].partition(";")[0]
    'book/page.md: "61.2 %" is typed, not computed: ... it falls to 61.2 %, in Table ...'
    """
    return [
        f'{where}: "{number}" is typed, not computed: ... {around} ...; compute it, or write a small one in words'
        for where, text in _prose()
        for number, around in numbers_in(text)
    ]


def numbers_in(text: str) -> Iterator[tuple[str, str]]:
    """The numbers in Markdown that are not in code, maths, links or citations nor part of a name,
    each with what is around it.

    >>> list(numbers_in("Under `D8` (Table 3), at scale 256, accuracy falls to 61.2 %."))
    [('61.2 %', 'accuracy falls to 61.2 %.')]
    """
    prose = text
    for pattern in _NOT_PROSE:
        prose = re.sub(pattern, _blank, prose, flags=re.MULTILINE | re.DOTALL)
    for pattern in NAMES.values():
        prose = re.sub(pattern, _blank, prose)
    for match in re.finditer(r"(?:\d[\d.,]*\d|\d)(?:\s?%)?", prose):
        before, after = text[: match.start()].split()[-3:], text[match.end() :].split()[:3]
        tail = " " if text[match.end() : match.end() + 1].isspace() else ""
        yield match[0], f"{' '.join(before)} {match[0]}{tail}{' '.join(after)}".strip()


def _blank(match: re.Match) -> str:
    return re.sub(r"[^\n]", " ", match[0])


def _prose() -> Iterator[tuple[str, str]]:
    """Everything that is read in the book and was written by hand: where it stands, and its
    Markdown.
    """
    import jupytext

    for path in sorted(book.NOTEBOOKS.glob("*.py")):
        for number, cell in enumerate(jupytext.read(path).cells, 1):
            if cell.cell_type == "markdown":
                yield f"notebooks/{path.name}, cell {number}", cell.source
        for line, text in _told(ast.parse(path.read_text(encoding="utf-8"))):
            yield f"notebooks/{path.name}, line {line}", text
    for path in sorted((book.ROOT / "book").rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        yield str(path.relative_to(book.ROOT)), text


def _told(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in _TOLD
        ):
            for argument in [*node.args, *(keyword.value for keyword in node.keywords)]:
                yield from ((argument.lineno, text) for text in _strings(argument))


def _strings(node: ast.expr) -> Iterator[str]:
    """The strings that an expression may come to, with dots where a value is put in."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=parts):
            yield "".join(part.value if isinstance(part, ast.Constant) else "…" for part in parts)
        case ast.IfExp(body=one, orelse=other) | ast.BinOp(left=one, right=other):
            yield from _strings(one)
            yield from _strings(other)
