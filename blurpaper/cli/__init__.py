"""The command line: one verb a command, each a few lines over the library; imports are light."""

from __future__ import annotations

from blurpaper.cli import images, networks, runs  # noqa: F401 (each adds its verbs to main)
from blurpaper.cli.base import Command, main, override_option, profile_option

__all__ = ["Command", "main", "override_option", "profile_option"]
