"""The advice of :mod:`blurpaper.deciding` as a table in HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from blurpaper import book
from blurpaper.deciding import Choice, Effect
from blurpaper.tables import rounded

if TYPE_CHECKING:
    import pandas as pd

_METRICS = {"top5": "top-5", "miou": "mIoU"}
_HEADS = (
    "your images are",
    "do that",
    "under",
    "before → after",
    "gain",
    "sharp images",
    "it takes",
)


def table(found: Sequence[Choice]) -> str:
    """The advice as HTML, a row a kind of blur; accuracies in per cent, differences in points, with
    95 % intervals.
    """
    head = "".join(f'<th scope="col">{name}</th>' for name in _HEADS)
    body = "".join(_lines(choice) for choice in found)
    return f'<table class="blurpaper choices"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _lines(choice: Choice) -> str:
    """One kind of blur: a row for each condition that stands for it."""
    span = len(choice.effects)
    wide = f' rowspan="{span}"' if span > 1 else ""
    before = f'<th scope="row"{wide}>{escape(choice.images)}</th>' + _cell(
        1, _advice(choice), span, "words"
    )
    sharp = "–" if choice.sharp is None else _points(choice.sharp)
    after = _cell(5, sharp, span) + _cell(
        6, escape(choice.cost if choice.helps else "nothing"), span
    )
    lines = []
    for number, effect in enumerate(choice.effects):
        cells = _cell(
            2, f'{effect.condition}<small class="interval">{_METRICS[choice.metric]}</small>'
        ) + _change(choice, effect)
        lines.append(f"<tr>{before * (number == 0)}{cells}{after * (number == 0)}</tr>")
    return "".join(lines)


def _cell(column: int, content: str, span: int = 1, kind: str = "") -> str:
    """A cell that says of which column it is, for where a narrow page shows no heads."""
    given = f' rowspan="{span}"' * (span > 1) + f' class="{kind}"' * bool(kind)
    return f'<td{given} data-head="{_HEADS[column]}">{content}</td>'


def _advice(choice: Choice) -> str:
    wanted = {choice.chapter: "measured", choice.guide: "step by step"}
    links = [
        f'<a href="{page}.html">{wanted[page[:2]]}</a>'
        for page in book.chapters()
        if page[:2] in wanted
    ]
    if not choice.does:
        words = "ask the network as it is"
    elif choice.helps:
        words = escape(choice.does)
    else:
        words = f"leave the network as it is: to {escape(choice.does)} gains nothing that these images tell"
    caution = f"<br><small>{escape(choice.caution)}</small>" if choice.caution else ""
    return f"{words} ({', '.join(links)})<br><code>{escape(choice.command)}</code>{caution}"


def _change(choice: Choice, effect: Effect) -> str:
    before, after = (rounded(100 * row["value"], 1) for row in (effect.before, effect.after))
    low, high = (_bounds(row, "–") for row in (effect.before, effect.after))
    if not choice.does:
        return _cell(3, f'{before}<small class="interval">{low}</small>') + _cell(4, "–")
    return _cell(3, f'{before} → {after}<small class="interval">{low} → {high}</small>') + _cell(
        4, _points(effect.gain)
    )


def _points(row: pd.Series) -> str:
    sign = "+" if row["value"] > 0 else ""
    return f'{sign}{rounded(100 * row["value"], 1)}<small class="interval">{_bounds(row, " to ")}</small>'


def _bounds(row: pd.Series, between: str) -> str:
    if row["low"] != row["low"]:
        return "interval not known"
    return between.join(rounded(100 * row[name], 1) for name in ("low", "high"))
