"""Where files of one's own are looked for."""

from __future__ import annotations

import os
from pathlib import Path


def data_folder() -> Path:
    """Where photographs and weights are looked for: ``$BLURPAPER_DATA``, else ``./data``."""
    return Path(os.environ.get("BLURPAPER_DATA") or "data")
