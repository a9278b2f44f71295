"""The ledger: what the paper's own numbers, the published photographs and a run say of every claim,
side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blurpaper.claims import evidence
from blurpaper.claims.criteria import CLAIMS, NOT_RUN, Claim, Criterion, Finding, verdicts
from blurpaper.evaluation import intervals
from blurpaper.experiments import results
from blurpaper.experiments.sources import PAPER, PHOTOS, RUN
from blurpaper.runs import profile as profiles

if TYPE_CHECKING:
    import pandas as pd

    from blurpaper.experiments import Published
    from blurpaper.runs.profile import Profile
    from blurpaper.runs.store import Store


@dataclass(frozen=True)
class Entry:
    """A claim and what each source says of it."""

    claim: Claim
    findings: dict[str, Finding]


def ledger(profile: Profile, store: Store | Published, tables: Sequence[str] = ()) -> list[Entry]:
    """Every claim, decided by the paper, by the published photographs where they are committed, and
    by this run.

    Args:
        tables: experiments whose claims are decided, from their own results alone; all if empty.
    """
    chosen = tuple(
        sorted(
            (one for one in CLAIMS.values() if not tables or one.table in tables),
            key=lambda one: one.section,
        )
    )
    found = {PAPER: verdicts(chosen, evidence.of_paper())}
    if profile.name != PHOTOS and (results.PUBLISHED / f"{PHOTOS}.csv").is_file():
        found[PHOTOS] = verdicts(chosen, evidence.of_published(profiles.load(PHOTOS)))
    found[RUN] = verdicts(chosen, evidence.of_run(profile, store))
    return [
        Entry(one, {source: of_source[one.id] for source, of_source in found.items()})
        for one in chosen
    ]


def tables(entries: Sequence[Entry]) -> dict[str, pd.DataFrame]:
    """Source -> the ledger as a table, a row a criterion, or a claim that was not run."""
    import pandas as pd

    found = {}
    for source in entries[0].findings:
        rows = []
        for entry in entries:
            claim, finding = entry.claim, entry.findings[source]
            of = {
                "claim": claim.id,
                "section": claim.section,
                "says": claim.says,
                "verdict": finding.verdict,
            }
            rows += [of | _measured(one) for one in finding.criteria] or [
                of | {"criterion": finding.missing}
            ]
        found[source] = pd.DataFrame(rows)
    return found


def _measured(one: Criterion) -> dict[str, Any]:
    value, low, high = intervals.of_draws(one.quantity)
    bound = "above" if one.above else "below"
    return {
        "criterion": one.words,
        "value": value,
        "low": low,
        "high": high,
        "to_be": bound,
        "limit": one.limit,
        "unit": one.unit,
    }


def summary(profile: Profile, store: Store | Published) -> list[dict[str, Any]]:
    """The ledger as data: ``id``, ``section``, ``verdict`` by source, and ``explained``: what is
    missing where it was not run.
    """
    return [
        {
            "id": entry.claim.id,
            "section": entry.claim.section,
            "verdict": {source: finding.verdict for source, finding in entry.findings.items()},
            "explained": {
                source: one.missing
                for source, one in entry.findings.items()
                if one.verdict == NOT_RUN
            },
        }
        for entry in ledger(profile, store)
    ]
