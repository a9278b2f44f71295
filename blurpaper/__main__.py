"""The command line as ``python -m blurpaper``."""

from blurpaper.cli import main

if __name__ == "__main__":  # whoever lists the modules imports this one too
    main()
