"""The ledger: verdicts of the paper's own numbers, the published photographs and a run on every
claim, side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blurpaper.claims.criteria import CLAIMS, Claim, Criterion, Finding, verdicts
from blurpaper.claims.evidence import Evidence
from blurpaper.experiments.sources import Paper, Source, ours

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Entry:
    """A claim and the finding of each source."""

    claim: Claim
    findings: dict[str, Finding]


def ledger(source: Source, tables: Sequence[str] = ()) -> list[Entry]:
    """Every claim, decided by the paper, by the published photographs where they are committed, and
    by a source.

    Args:
        tables: experiments whose claims are decided, from their own results alone; all if empty.
    """
    chosen = tuple(
        sorted(
            (one for one in CLAIMS.values() if not tables or one.table in tables),
            key=lambda one: one.section,
        )
    )
    found = {one.name: verdicts(chosen, Evidence(one)) for one in (Paper(), *ours(source))}
    return [
        Entry(one, {name: of_source[one.id] for name, of_source in found.items()}) for one in chosen
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
            rows += [of | _measured(one, finding) for one in finding.criteria] or [
                of | {"criterion": finding.missing}
            ]
        found[source] = pd.DataFrame(rows)
    return found


def _measured(one: Criterion, finding: Finding) -> dict[str, Any]:
    value, low, high = finding.interval(one)
    bound = "above" if one.above else "below"
    return {
        "criterion": one.words,
        "value": value,
        "low": low,
        "high": high,
        "level": 1 - finding.rate,
        "to_be": bound,
        "limit": one.limit,
        "unit": one.unit,
    }


def summary(source: Source) -> list[dict[str, Any]]:
    """The ledger as data: ``id``, ``section``, ``verdict`` by source, and ``explained``: what a
    source lacks where the claim was not run or its conditions are not met.
    """
    return [
        {
            "id": entry.claim.id,
            "section": entry.claim.section,
            "verdict": {name: finding.verdict for name, finding in entry.findings.items()},
            "explained": {name: one.missing for name, one in entry.findings.items() if one.missing},
        }
        for entry in ledger(source)
    ]
