"""Claims, and how criteria decide them: reproduced, not reproduced, undecided or not run.

A claim is a sentence that numbers can bear out. Its criteria are fixed here, in the source, before
any run. Each compares one measured quantity with a limit; a claim holds if all of its criteria do.
A quantity is an array ``(1 + R,)``: its value, then its value in each resample of the images.

The share of resamples that contradict a claim is its p-value; the share that support it, the
p-value of the contrary. Of several criteria the weakest counts for the claim, and the most
contradicted, times their number, against it. Twice the smaller of the two says how sure the verdict
is that its side suggests. Many claims are tested at once: the procedure of Benjamini and Hochberg
keeps the expected share of wrong verdicts, among those given, below 5 %. What is not sure enough is
undecided. The claims that one table or figure decides are a family, tested by themselves: their
verdicts then need nothing that the chapter does not show.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from blurpaper.claims.evidence import POINTS, Evidence, NotMeasuredError
from blurpaper.evaluation import intervals


@dataclass(frozen=True)
class Criterion:
    """One quantity and the limit it is held against.

    Attributes:
        words: what is measured, for people.
        quantity: float64 ``(1 + R,)``, the value and that in each resample.
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
        """Distance from the limit, ``(1 + R,)``, in the quantity's unit; below 0 if it fails."""
        return self.quantity - self.limit if self.above else self.limit - self.quantity


def above(words: str, quantity: np.ndarray, limit: float = 0.0, unit: str = "points") -> Criterion:
    """The criterion that a quantity, ``(1 + R,)``, is above a limit."""
    return Criterion(words, quantity, limit, True, unit)


def below(words: str, quantity: np.ndarray, limit: float = 0.0, unit: str = "points") -> Criterion:
    """The criterion that a quantity, ``(1 + R,)``, is below a limit."""
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
        note: a further remark, such as why the paper's own numbers do not bear it out.
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


# --- Verdicts -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Finding:
    """The verdict of a source on a claim.

    Attributes:
        verdict: one of the four.
        criteria: what was measured; empty if it was not.
        from_points: whether some number had no interval, so that values alone decide.
        missing: the number that the source lacks, if the claim was not run.
    """

    verdict: str
    criteria: tuple[Criterion, ...] = ()
    from_points: bool = False
    missing: str = ""

    @property
    def weakest(self) -> Criterion:
        """The criterion that decides, which is the one that most resamples contradict; of equals,
        that of the smallest margin.
        """
        return max(
            self.criteria, key=lambda one: (_contradicted(one), -one.margin[0] / _scale(one))
        )


def verdicts(claims: Iterable[Claim], evidence: Evidence) -> dict[str, Finding]:
    """Findings of a source by the claim's id, the claims of each table or figure tested together.

    >>> from blurpaper.claims import CLAIMS, Evidence
    >>> from blurpaper.experiments.sources import Paper
    >>> verdicts(CLAIMS.values(), Evidence(Paper()))["mix-helps-under-defocus-and-shake"].verdict
    'reproduced'
    """
    families: dict[str, list[Claim]] = {}
    for claim in claims:
        families.setdefault(claim.table, []).append(claim)
    return {
        name: finding
        for family in families.values()
        for name, finding in _of_family(family, evidence).items()
    }


def _of_family(claims: Iterable[Claim], evidence: Evidence) -> dict[str, Finding]:
    measured: dict[str, tuple[tuple[Criterion, ...], bool]] = {}
    found: dict[str, Finding] = {}
    for claim in claims:
        evidence.used.clear()
        try:
            measured[claim.id] = tuple(claim.criteria(evidence)), POINTS in evidence.used
        except NotMeasuredError as error:
            found[claim.id] = Finding(NOT_RUN, missing=str(error))
    tested = [name for name, (_, from_points) in measured.items() if not from_points]
    sides = {name: _sides(measured[name][0]) for name in tested}
    sure = dict(
        zip(
            tested,
            intervals.false_discovery_adjusted([min(1.0, 2 * min(sides[name])) for name in tested]),
            strict=True,
        )
    )
    for name, (criteria, from_points) in measured.items():
        if from_points:
            holds = all(one.margin[0] > 0 for one in criteria)
            verdict = REPRODUCED if holds else NOT_REPRODUCED
        else:
            against, its_contrary = sides[name]
            likely = REPRODUCED if against < its_contrary else NOT_REPRODUCED
            verdict = likely if sure[name] <= 1 - intervals.LEVEL else UNDECIDED
        found[name] = Finding(verdict, criteria, from_points)
    return found


def _sides(criteria: tuple[Criterion, ...]) -> tuple[float, float]:
    """p-values of a claim and of its contrary."""
    return max(map(_contradicted, criteria)), min(
        1.0, len(criteria) * min(map(_supported, criteria))
    )


def _contradicted(one: Criterion) -> float:
    """Share of resamples in which a criterion does not hold (or cannot be computed), itself counted
    among them: its p-value.
    """
    return (1 + np.count_nonzero(~(one.margin[1:] > 0))) / len(one.margin)


def _supported(one: Criterion) -> float:
    return (1 + np.count_nonzero(~(one.margin[1:] < 0))) / len(one.margin)


def _scale(one: Criterion) -> float:
    """How much a quantity varies between resamples; 1 if it does not."""
    return float(np.nan_to_num(one.quantity[1:].std())) or 1.0
