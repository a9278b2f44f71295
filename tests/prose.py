"""A lint of the authors' prose: a number in it is computed, or part of a name, never typed."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import jupytext

_NOT_MEASURED = (
    r"(?!\w|[.,]\d|\s*(?:%|points?\b|times\b|(?:milli)?seconds?\b|minutes?\b|hours?\b|days?\b|m?s\b|[kMGT]i?B\b|nats?\b"
    r"|images\b|photographs\b|networks\b|claims\b|steps\b|epochs\b))"
)
"""After a number that is a name: what would make it a quantity."""
_REFERENCE = rf"(?>\d+(?:\.\d+)*){_NOT_MEASURED}"

NAMES = {
    "a place in the paper or the book": r"\b(?:Tables?|Fig(?:ures?|s?\.)|"
    r"Sec(?:tions?|s?\.)|[Cc]hapters?|Eq\.)\s+"
    rf"{_REFERENCE}(?:(?:,|,?\s+(?:and|to))\s+{_REFERENCE})*",
    "a year": rf"(?:\b(?:in|since|VOC|ILSVRC|ImageNet)\s+|\()(?:19[5-9]|20[0-3])\d{_NOT_MEASURED}",
    "a paper": r"\barXiv[: ]\d{4}\.\d{4,5}\b",
    "a scale of the paper": rf"(?<![\w.,])(?:128|256|512)(?:\s*\+\s*512)?{_NOT_MEASURED}",
    "the canonical scale, those before the blur, or the crop": r"(?<![\w.,])(?:384|356|410|224)"
    rf"{_NOT_MEASURED}",
    "a word that ends in a number: D8, top-5, VGG-16, bfloat16": r"(?<![\w.])[A-Za-z][A-Za-z-]*"
    r"\d+(?:_\w+)?\b(?![.,]\d)",
    "the size of a PSF": rf"\b(?:radius|deviations?)\s+(?:of\s+)?\d{{1,2}}"
    rf"(?:\s+(?:to|and)\s+\d{{1,2}})?{_NOT_MEASURED}"
    r"|(?<![\w.,])\d{1,2}\s+pixels\b",
    "a patch, a grid or a window": rf"(?<![\w.,])\d+\s*[×x]\s*\d+{_NOT_MEASURED}",
    "labelled images a class of a profile": r"\b25, 100\s+and\s+350\b"
    r"|\b(?:25|100|350) (?:a|of each) (?:class|breed)\b",
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
    # Code; notes and such are prose.
    r"^(?P<fence>`{3,}+|~{3,}+)(?!\{(?!code|bibliography|math|figure|image)).*?^(?P=fence)\s*$",
    # The ends, options and labels of directives.
    r"^(?:`{3,}|~{3,}|:{3,})(?:\{[\w:-]+\})?|^:\w[\w-]*:[^\n]*$|^\([\w-]+\)=$",
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


def typed_numbers(root: Path) -> list[str]:
    """Numbers typed by hand in the notebooks, in the sentences of their code, or in the pages of
    the book of a checkout: a sentence each.
    """
    return [
        f'{where}: "{number}" is typed, not computed: ... {around} ...; compute it, or write a '
        "small one in words"
        for where, text in _prose(root)
        for number, around in numbers_in(text)
    ]


def numbers_in(text: str) -> Iterator[tuple[str, str]]:
    """Numbers in Markdown outside code, mathematics, links, citations and names, each with the
    words around it.
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


def _prose(root: Path) -> Iterator[tuple[str, str]]:
    """Everything in the book that was written by hand: its place, and its Markdown."""
    for path in sorted((root / "notebooks").glob("*.py")):
        for number, cell in enumerate(jupytext.read(path).cells, 1):
            if cell.cell_type == "markdown":
                yield f"notebooks/{path.name}, cell {number}", cell.source
        for line, text in _told(ast.parse(path.read_text(encoding="utf-8"))):
            yield f"notebooks/{path.name}, line {line}", text
    for path in sorted((root / "book").rglob("*.md")):
        yield str(path.relative_to(root)), path.read_text(encoding="utf-8")


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
