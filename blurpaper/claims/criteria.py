"""Claims, and how criteria decide them: reproduced, not reproduced, undecided, conditions not met
or not run.

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

That procedure rejects a hypothesis if its p-value is at most a rate that follows from the others of
its family. An interval of one minus that rate contains the limit if and only if the claim is
undecided (:meth:`Finding.interval`), so that intervals beside verdicts are of that level.

A claim needs conditions like the paper's. What they are follows from the numbers of the paper that
decide it, by one rule for all claims (:data:`MUCH_LESS`): each of our numbers rests on at least a
hundredth of the labelled training images a class that the paper's had, of its classes, and of its
test images. The rule was written before any result on the test sets that came later. It replaces
"not reproduced" alone, by "conditions not met":

- a claim that is reproduced with much less than the paper had stays reproduced, as its criteria
  hold;
- one that is undecided stays undecided, as more test images would decide it;
- one that the paper's own numbers contradict as well has no excuse;
- a claim of which the paper has no numbers has no conditions, as none can be derived.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist

import numpy as np

from blurpaper.claims.evidence import POINTS, Basis, Evidence, NotMeasuredError
from blurpaper.evaluation import intervals
from blurpaper.experiments.sources import Paper


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

VERDICTS = REPRODUCED, NOT_REPRODUCED, UNDECIDED, CONDITIONS_NOT_MET, NOT_RUN = (
    "reproduced",
    "not reproduced",
    "undecided",
    "conditions not met",
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
    ('More than half of the top-5 lost under D8 is recovered.', '1', 'Table 3')
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
    """

    def register(function: Decide) -> Decide:
        name = function.__name__.replace("_", "-")
        paragraphs = (" ".join(part.split()) for part in (function.__doc__ or "").split("\n\n"))
        says, tolerance, *note = paragraphs
        CLAIMS[name] = Claim(name, section, table, paper, says, tolerance, " ".join(note), function)
        return function

    return register


# --- Verdicts -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Finding:
    """The verdict of a source on a claim.

    Attributes:
        verdict: one of the five.
        criteria: what was measured; empty if it was not.
        from_points: whether some number had no interval, so that values alone decide.
        missing: what the source lacks: the number if the claim was not run, the condition if it is
            not met.
        rate: the p-value of its weakest criterion with which it would just be decided.
        images: of the smallest test set.
    """

    verdict: str
    criteria: tuple[Criterion, ...] = ()
    from_points: bool = False
    missing: str = ""
    rate: float = 1 - intervals.LEVEL
    images: float = np.nan

    @property
    def weakest(self) -> Criterion:
        """The criterion that decides, which is the one that most resamples contradict; of equals,
        that of the smallest margin.
        """
        return max(
            self.criteria, key=lambda one: (_contradicted(one), -one.margin[0] / _scale(one))
        )

    def interval(self, one: Criterion) -> tuple[float, float, float]:
        """The value of a criterion's quantity and its interval of the level that decides, ``1 -
        rate``; resamples in which it cannot be computed lie beyond both ends.
        """
        beyond = max(1, int(self.rate / 2 * len(one.quantity)))
        low, high = (np.sort(np.nan_to_num(one.quantity[1:], nan=end)) for end in (-np.inf, np.inf))
        return float(one.quantity[0]), float(low[beyond - 1]), float(high[-beyond])

    @property
    def enough(self) -> float:
        """Images with which the weakest criterion would decide, if its value stayed as it is:
        ``n (z s / d)²``, where ``s`` is its standard error with ``n`` images, ``d`` its distance
        from the limit, and ``z`` the quantile of a normal distribution for the level that decides.
        """
        one, z = self.weakest, NormalDist().inv_cdf(1 - self.rate / 2)
        with np.errstate(divide="ignore"):
            return self.images * float((z * np.nanstd(one.quantity[1:]) / one.margin[0]) ** 2)


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
    measured: dict[Claim, tuple[tuple[Criterion, ...], list[Basis]]] = {}
    found: dict[str, Finding] = {}
    for claim in claims:
        for one in evidence.on(claim.table):
            one.used.clear()
            try:
                measured[claim] = tuple(claim.criteria(one)), list(one.used)
                break
            except NotMeasuredError as error:
                found[claim.id] = Finding(NOT_RUN, missing=str(error))
    by_points = {one: POINTS in [basis.kind for basis in of] for one, (_, of) in measured.items()}
    sides = {one: _sides(own) for one, (own, _) in measured.items() if not by_points[one]}
    p_values = [min(1.0, 2 * min(pair)) for pair in sides.values()]
    tested = zip(sides, p_values, intervals.false_discovery_rates(p_values), strict=True)
    sure = {one: (p_value, rate) for one, p_value, rate in tested}
    for one, (criteria, used) in measured.items():
        missing, rate = "", 1 - intervals.LEVEL
        if by_points[one]:
            holds = all(each.margin[0] > 0 for each in criteria)
            verdict = REPRODUCED if holds else NOT_REPRODUCED
        else:
            against, its_contrary = sides[one]
            likely = REPRODUCED if against < its_contrary else NOT_REPRODUCED
            p_value, rate = sure[one]
            verdict = likely if p_value <= rate else UNDECIDED
            # Any of several criteria could fail by chance.
            rate /= 1 if likely == REPRODUCED else len(criteria)
        if verdict == NOT_REPRODUCED != one.paper and (missing := _unmet(one, used)):
            verdict = CONDITIONS_NOT_MET
        images = min((basis.images for basis in used), default=np.nan)
        found[one.id] = Finding(verdict, criteria, by_points[one], missing, rate, images)
    return found


MUCH_LESS = 0.01
"""Share of what the paper had below which a source has much less: two orders of magnitude."""


@cache
def had(claim: Claim) -> tuple[Basis, ...]:
    """What the paper's numbers on a claim rest on, in the order in which it asks for them; none if
    the paper lacks one.
    """
    evidence = Evidence(Paper())
    with suppress(NotMeasuredError):
        list(claim.criteria(evidence))
        return tuple(evidence.used)
    return ()


def _unmet(claim: Claim, used: Iterable[Basis]) -> str:
    """In words, the first condition of a claim that is not met; empty if all are."""
    for paper, own in zip(had(claim), used):
        for name, there, here in zip(_CONDITIONS, paper[1:], own[1:], strict=True):
            if here < MUCH_LESS * there:
                return f"{name}: {here:,.3g}, where the paper had {there:,.0f}"
    return ""


_CONDITIONS = ("labelled training images a class", "classes", "test images")


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
