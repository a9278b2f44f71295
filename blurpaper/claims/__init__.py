"""The claims ledger: every sentence of the paper that numbers can bear out, decided by code.

Each claim is a small function in a module named for a section of the paper. It yields criteria,
fixed in the source for all runs alike, on what it asks of :class:`Evidence`;
:mod:`blurpaper.claims.criteria` decides. The same claims are held against the paper's own numbers,
the published ones and those of any run.
"""

from blurpaper.claims import fine_tuning, recognition, restoration
from blurpaper.claims.criteria import (
    CLAIMS,
    NOT_REPRODUCED,
    NOT_RUN,
    REPRODUCED,
    UNDECIDED,
    Claim,
    Criterion,
    Finding,
    verdicts,
)
from blurpaper.claims.evidence import Evidence, NotMeasuredError
from blurpaper.claims.ledger import Entry, ledger, summary, tables

__all__ = [
    "CLAIMS",
    "NOT_REPRODUCED",
    "NOT_RUN",
    "REPRODUCED",
    "UNDECIDED",
    "Claim",
    "Criterion",
    "Entry",
    "Evidence",
    "Finding",
    "NotMeasuredError",
    "fine_tuning",
    "ledger",
    "recognition",
    "restoration",
    "summary",
    "tables",
    "verdicts",
]
