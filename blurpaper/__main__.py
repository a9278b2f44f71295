"""The command line as ``python -m blurpaper``."""

from blurpaper.cli import main

main()
