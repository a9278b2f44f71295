"""From criteria to verdicts: reproduced, not reproduced, undecided or not run, with the false
discovery rate under control.

The share of resamples that contradict a claim is its p-value; the share that support it, the
p-value of the contrary. Of several criteria the weakest counts for the claim, and the most
contradicted, times their number, against it. Twice the smaller of the two says how sure the verdict
is that its side suggests. Many claims are tested at once: the procedure of Benjamini and Hochberg
keeps the expected share of wrong verdicts, among those given, below 5 %. What is not sure enough is
undecided.

The claims that one table or figure decides are a family, tested by themselves: what a chapter says
of them then needs nothing that it does not show.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from blurpaper.claims.criteria import (
    NOT_REPRODUCED,
    NOT_RUN,
    REPRODUCED,
    UNDECIDED,
    Claim,
    Criterion,
)
from blurpaper.claims.evidence import POINTS, Evidence, NotMeasuredError
from blurpaper.evaluation import intervals


@dataclass(frozen=True)
class Finding:
    """What a source says of a claim.

    Attributes:
        verdict: one of the four.
        criteria: what was measured; empty if it was not.
        from_points: whether some number was known without an interval, so that the verdict is by
            points alone.
        missing: what the source does not have, if it was not run.
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
    """What a source says of some claims, those of each table or figure tested together: id -> finding.

    >>> from blurpaper.claims import CLAIMS, of_paper
    >>> verdicts(CLAIMS.values(), of_paper())["mix-helps-under-defocus-and-shake"].verdict
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
