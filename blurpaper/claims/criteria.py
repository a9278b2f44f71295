"""What a claim is: a sentence that numbers can bear out, where the paper makes it, and the criteria
that decide it.

Criteria are fixed here, in the source, before any run. Each compares one measured quantity with a
limit; a claim holds if all of its criteria do. A quantity is an array ``(1 + R,)``: its value, then
what it is in each resample of the images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from blurpaper.claims.evidence import Evidence


@dataclass(frozen=True)
class Criterion:
    """One quantity and the limit it is held against.

    Attributes:
        words: what is measured, for people.
        quantity: float64 ``(1 + R,)``, the value and what it is in each resample.
        limit: what it has to be above, or below.
        above: which of the two.
        unit: ``points`` (of per cent; the quantity is a difference of shares), ``share``, ``nats``
            or ``ratio``.
    """

    words: str
    quantity: np.ndarray
    limit: float
    above: bool
    unit: str

    @property
    def margin(self) -> np.ndarray:
        """By how much it holds, ``(1 + R,)``, in the quantity's unit; negative where it does not."""
        return self.quantity - self.limit if self.above else self.limit - self.quantity


def above(words: str, quantity: np.ndarray, limit: float = 0.0, unit: str = "points") -> Criterion:
    """That a quantity, ``(1 + R,)``, its value and what it is in each resample, is above a limit."""
    return Criterion(words, quantity, limit, True, unit)


def below(words: str, quantity: np.ndarray, limit: float = 0.0, unit: str = "points") -> Criterion:
    """That a quantity, ``(1 + R,)``, its value and what it is in each resample, is below a limit."""
    return Criterion(words, quantity, limit, False, unit)


Decide = Callable[[Evidence], Iterator[Criterion]]

VERDICTS = REPRODUCED, NOT_REPRODUCED, UNDECIDED, NOT_RUN = (
    "reproduced",
    "not reproduced",
    "undecided",
    "not run",
)


@dataclass(frozen=True)
class Claim:
    """A claim.

    Attributes:
        id: the name of its function, with hyphens.
        section: of the paper, such as ``4.1``; ``A`` for its supplement.
        table: the table or figure that decides it, by the name of its experiment.
        paper: the verdict that the paper's own numbers have; a test holds us to it.
        says: the claim in our words.
        tolerance: its criteria in words.
        note: what else is to be known, such as why the paper's own numbers do not bear it out.
        criteria: the function.

    >>> one = CLAIMS["mix-recovers-most-of-the-loss"]
    >>> one.says
    'Fine-tuning on the mix recovers most of what was lost.'
    >>> one.tolerance, one.section, one.shown
    ('More than half of the top-5 that D8 costs comes back.', '1', 'Table 3')
    """

    id: str
    section: str
    table: str
    paper: str
    says: str
    tolerance: str
    note: str
    criteria: Decide

    @property
    def shown(self) -> str:
        """The table or figure as the paper calls it."""
        return self.table.replace("table", "Table ").replace("figure", "Fig. ")


CLAIMS: dict[str, Claim] = {}
"""Every claim by its id, in the order of the paper."""


def claim(section: str, table: str, paper: str = REPRODUCED) -> Callable[[Decide], Decide]:
    """Register a function that yields the criteria of a claim; see :class:`Claim` for the
    arguments.

    The function's docstring says the rest, a paragraph each: the claim, its criteria, and if need
    be a note.

    Raises:
        ValueError: if the id is taken, the docstring lacks a paragraph, or the paper's verdict is
            none.
    """

    def register(function: Decide) -> Decide:
        name = function.__name__.replace("_", "-")
        says, *others = (" ".join(part.split()) for part in (function.__doc__ or "").split("\n\n"))
        if name in CLAIMS or not others or paper not in VERDICTS:
            raise ValueError(
                "a claim has its own id, two paragraphs at least, and one of "
                f"{', '.join(VERDICTS)}. Got {name!r}."
            )
        CLAIMS[name] = Claim(
            name, section, table, paper, says, others[0], " ".join(others[1:]), function
        )
        return function

    return register
