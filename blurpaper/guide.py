"""A place to try things in, for the guides of the book: a folder of its own, photographs, a store,
and verbs as in a shell.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import tempfile
import textwrap
import weakref
from collections.abc import Iterable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

_WIDTH = 84
"""Characters that fit a line of the book's pages."""


class Workbench:
    """A temporary folder that becomes the current one; its ``store`` is that of all verbs and of
    ``Store()`` from then on.

    What a guide computes with kernels, networks or data of its own thus stays out of the reader's
    store. The folder is removed when the process ends.

    Attributes:
        folder: the current folder.
        close: removes it at once.

    >>> from contextlib import chdir
    >>> from unittest.mock import patch
    >>> with patch.dict(os.environ), chdir("."):
    ...     workbench = Workbench()
    ...     _ = workbench.photographs("album")
    ...     workbench.shell("blurpaper blur album blurred --psf D8")
    ...     workbench.listing()
    ...     workbench.close()
    $ blurpaper blur album blurred --psf D8
    2 images blurred to blurred
    album/chelsea.png
    album/coffee.png
    blurred/chelsea.png
    blurred/coffee.png
    """

    def __init__(self) -> None:
        whole = tempfile.TemporaryDirectory(prefix="blurpaper-")  # kept until this is
        self.close = weakref.finalize(self, whole.cleanup)
        self.folder = Path(whole.name).resolve()
        os.environ["BLURPAPER_STORE"] = str(self.folder / "store")
        os.chdir(self.folder)

    def photographs(self, folder: str, names: Iterable[str] = ()) -> Path:
        """Write photographs that scikit-image carries to a folder, as PNG without loss.

        Args:
            folder: below the current one.
            names: as scikit-image has them, each with a folder before it if it is to have one, as
                in ``Egyptian cat/chelsea``; all of the set that tests use by default.
        """
        from blurpaper.data.examples import album

        album(self.folder / folder, names)
        return Path(folder)

    def shell(self, command: str, status: int = 0) -> None:
        """Print a command as one gives it to a shell, and what it prints; it runs in this process,
        which has its libraries.

        Args:
            command: ``blurpaper`` and what follows.
            status: the exit status that it is to have.

        Raises:
            RuntimeError: if it has another.
        """
        _, *arguments = shlex.split(command)
        printed, found = _run(arguments)
        lines = [
            line for line in printed.replace(f"{self.folder}/", "").split("\n") if "\r" not in line
        ]  # but for bars
        print(_in_lines(command))
        print(
            "\n".join(
                textwrap.fill(
                    line,
                    _WIDTH,
                    subsequent_indent="    ",
                    replace_whitespace=False,
                    break_on_hyphens=False,
                )
                for line in lines
            ).rstrip()
        )
        if found != status:
            raise RuntimeError(f"{command} ended with status {found}: {printed[-500:]}")

    def listing(self, folder: str = ".") -> None:
        """Print the files below a folder, but for the store's."""
        files = sorted(
            path.relative_to(self.folder)
            for path in (self.folder / folder).rglob("*")
            if path.is_file()
        )
        print("\n".join(path.as_posix() for path in files if path.parts[0] != "store"))


def _in_lines(command: str) -> str:
    """A command as a shell takes it when it does not fit a line."""
    lines = ["$"]
    for word in re.findall(r"(?:'[^']*'|\"[^\"]*\"|\S)+", command):
        if len(lines[-1]) + len(word) + 3 > _WIDTH:
            lines[-1] += " \\"
            lines.append("   ")
        lines[-1] += f" {word}"
    return "\n".join(lines)


def _run(arguments: Sequence[str]) -> tuple[str, int]:
    """What a verb prints, errors among it, and its exit status."""
    from blurpaper.cli import main

    printed = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(printed):
        try:
            main(arguments, prog_name="blurpaper")
        except SystemExit as ended:
            return printed.getvalue(), int(ended.code or 0)
    return printed.getvalue(), 0
