"""The claims ledger: every sentence of the paper that numbers can bear out, decided by code.

Each claim is a small function in a module named for its subject. It yields criteria, fixed in the
source for all runs alike, on numbers of :class:`Evidence`; :mod:`blurpaper.claims.criteria`
decides. The same claims are tested on the paper's own numbers, the published ones and those of any
run.
"""

from blurpaper.claims import fine_tuning, recognition, restoration
from blurpaper.claims.criteria import CLAIMS, verdicts
from blurpaper.claims.evidence import Evidence, NotMeasuredError
from blurpaper.claims.ledger import ledger, summary, tables

__all__ = [
    "CLAIMS",
    "Evidence",
    "NotMeasuredError",
    "fine_tuning",
    "ledger",
    "recognition",
    "restoration",
    "summary",
    "tables",
    "verdicts",
]
