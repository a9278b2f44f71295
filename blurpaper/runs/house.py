"""Where the files of the book are: those of a checkout, or the copies that an installed wheel
carries.
"""

from __future__ import annotations

from pathlib import Path

CARRIED = Path(__file__).parents[1] / "checkout"
"""In a wheel, what it carries of a checkout; in a checkout there is no such folder."""

HOME = CARRIED if CARRIED.is_dir() else CARRIED.parents[1]
"""The folder that holds ``notebooks/``, ``book/`` and ``results/``, ``_config.yml`` and
``_toc.yml``.
"""
