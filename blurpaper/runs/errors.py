"""The one error that is the user's: what is wrong, where, and what to do, in a sentence."""

from __future__ import annotations


class UserError(ValueError):
    """Base of every error that a user can mend; the command line prints its message and exits 2.

    It is a ``ValueError`` so that a caller in Python may catch it as usual. Any other exception is a
    fault of the program and shows its traceback.
    """
