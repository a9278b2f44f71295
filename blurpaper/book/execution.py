"""Execution of chapters: a percent script becomes a notebook, which papermill executes, several
chapters at once.

An executed chapter is an artifact: if its text, settings, code and data have not changed, it is
loaded from the store. A chapter that fails leaves no notebook. Each runs in a process of its own;
the numbers are the same however many run at once.
"""

from __future__ import annotations

import hashlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from blurpaper import data
from blurpaper.book import build
from blurpaper.book.tables import ANCHORS
from blurpaper.experiments import sources
from blurpaper.experiments.sources import RUN
from blurpaper.runs import Run, files, fingerprint
from blurpaper.runs import profile as profiles
from blurpaper.runs.files import TEMPLATES, written
from blurpaper.runs.profile import Profile
from blurpaper.runs.store import Artifact, Codec, Store, sha256_of

if TYPE_CHECKING:
    from nbformat import NotebookNode

KIND = "chapters"


@dataclass(frozen=True)
class Edition:
    """The settings of the chapters of a book.

    Attributes:
        source: name or path of the profile, which the notebooks load again.
        published: show the committed results.
    """

    profile: Profile
    overrides: Mapping[str, Any]
    source: str
    store: Store
    published: bool = False

    @cached_property
    def inputs(self) -> dict[str, Any]:
        """Inputs of all chapters: settings, committed results, templates, data."""
        folders = (files.RESULTS, TEMPLATES)
        shown = sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())
        shown.append(sources.PAPER_ROWS)
        return {
            "parameters": self.parameters,
            "settings": self.profile.model_dump(mode="json"),
            "files": [(path.name, sha256_of(path)) for path in shown],
            "targets": build.targets(build.ROOT),
            "data": {} if self.published else data.fingerprints(Run(self.profile, self.store)),
        }

    @property
    def parameters(self) -> dict[str, Any]:
        """Parameters that papermill puts into a notebook."""
        overrides = dict(self.overrides)
        return {"profile": self.source, "overrides": overrides, "published": self.published}

    def artifact(self, chapter: str) -> Artifact[str]:
        """An executed chapter, as the text of a notebook."""
        script = _script(chapter)
        own: dict[str, Any] = {
            "text": hashlib.sha256(script.encode()).hexdigest(),
            "code": fingerprint.fingerprint(fingerprint.used_by(script)),
        }
        if not self.published and shows_the_store(chapter):
            names = self.store.names()
            own["artifacts"] = [one for one in names if not one.startswith(f"{KIND}/")]
        name, about = f"{chapter}.{self.profile.name}", {"profile": self.profile.name}
        compute = partial(_executed, chapter, self, own["code"])
        return Artifact(KIND, name, self.inputs | own, compute, _NOTEBOOK, about, resumable=True)


def execute(chapter: str, run: Edition) -> Path:
    """Execute one chapter, or load it if nothing has changed; the path of the executed notebook.

    Raises:
        BookError: if a cell fails, with its error; no notebook is left behind.
    """
    out = build.executed(chapter, run.profile)
    out.unlink(missing_ok=True)
    content = run.store.get(run.artifact(chapter))
    with written(out) as temporary:
        temporary.write_text(content, encoding="utf-8")
    return out


def published_notebook(script: str) -> NotebookNode:
    """A chapter as a notebook executed on the committed results, for a plain ``jupyter-book build``
    of a checkout, which reads the percent scripts themselves.

    Args:
        script: the text of a chapter.

    Raises:
        BookError: if it is no chapter's, or fails.
    """
    import nbformat

    named = [one for one in build.chapters() if _script(one) == script]
    if not named:
        raise build.BookError(f"no chapter in {build.NOTEBOOKS} has this text: {script[:80]!r}.")
    edition = Edition(profiles.load("emoji"), {}, "emoji", Store(), published=True)
    return nbformat.reads(edition.store.get(edition.artifact(named[0])), as_version=4)


def shows_the_store(chapter: str) -> bool:
    """Whether a chapter shows the provenance of the run: the artifacts in the store are then inputs
    of it, and it is executed after the others.
    """
    return f"# ({ANCHORS[RUN]})=\n" in _script(chapter)


_NOTEBOOK: Codec[str] = Codec(
    ".ipynb",
    save=lambda text, path: path.write_text(text, encoding="utf-8"),
    load=lambda path: path.read_text(encoding="utf-8"),
)


def _script(chapter: str) -> str:
    return (build.NOTEBOOKS / f"{chapter}.py").read_text(encoding="utf-8")


def _executed(chapter: str, run: Edition, code: str, scratch: Path) -> str:
    """The text of the executed notebook, with a record of settings and code, to tell later whether
    it is out of date.
    """
    import jupytext
    import nbformat
    import papermill
    from nbclient.exceptions import DeadKernelError

    raw, draft = scratch / "raw.ipynb", scratch / "executed.ipynb"
    notebook = jupytext.read(build.NOTEBOOKS / f"{chapter}.py")
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook.metadata["kernelspec"] = kernel
    with written(raw) as temporary:
        jupytext.write(notebook, temporary, fmt="ipynb")
    try:
        papermill.execute_notebook(
            raw,
            draft,
            run.parameters,
            kernel_name="python3",
            # Errors are raised; the kernel logs only connections and interrupts.
            extra_arguments=["--log-level=50"],
            cwd=str(Path.cwd()),
            coalesce_streams=True,
            stderr_file=sys.stderr,
            progress_bar=False,
        )
    except KeyboardInterrupt:
        # asyncio would log a traceback for each task that is left as the process ends.
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)
        raise
    except papermill.PapermillExecutionError as error:
        if error.ename == "KeyboardInterrupt":
            raise KeyboardInterrupt from None
        raise build.BookError(f"chapter {chapter} failed: {error.ename}: {error.evalue}") from None
    except DeadKernelError:
        raise build.BookError(
            f"chapter {chapter} failed: its process was killed or crashed, perhaps for lack of "
            "memory; what was finished is kept: give the same command again to go on."
        ) from None
    executed = nbformat.read(draft, as_version=4)
    for cell in executed.cells:
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.metadata["tags"].append("remove-cell")
    executed.metadata["blurpaper"] = {
        "published": run.published,
        "settings": run.profile.model_dump(mode="json"),
        "code": code,
    }
    return nbformat.writes(executed)


# --- Several at once ------------------------------------------------------------------------------


def execute_all(
    chapters: Sequence[str],
    run: Edition,
    jobs: int = 1,
    tell: Callable[[str], object] = lambda chapter: None,
) -> None:
    """Execute chapters, several at once except for the first and those that show the store.

    The first shows numbers of all the others, so that it computes nearly everything, alone; those
    that show the store come last.

    Args:
        jobs: how many at once, each in a process of its own.
        tell: called with the name of each chapter as it begins.

    Raises:
        BookError: of the first that fails; the others are stopped, and their artifacts are kept.
    """
    first, *others = chapters
    last = [chapter for chapter in others if shows_the_store(chapter)]
    middle = [chapter for chapter in others if chapter not in last]
    failed = threading.Event()

    def one(chapter: str) -> None:
        if failed.is_set():
            return
        tell(chapter)
        try:
            execute(chapter, run)
        except BaseException:
            failed.set()
            raise

    if jobs > 1:
        # Idle threads of kernels sleep: with more threads than cores, those that wait in a loop
        # would slow the others down. The numbers are the same.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for group, at_once in (([first], 1), (middle, jobs), (last, 1)):
        with ThreadPoolExecutor(at_once) as pool:
            running = [pool.submit(one, chapter) for chapter in group]
            try:
                for future in wait(running, return_when=FIRST_EXCEPTION).done:
                    future.result()
            except BaseException:
                failed.set()
                _stop(running)
                raise


def _stop(running: Sequence[Future[None]], patience: float = 5) -> None:
    """Interrupt the running chapters; after so many seconds, kill them."""
    began = time.monotonic()
    while wait(running, timeout=0.5).not_done:  # a kernel ignores an interrupt between two cells
        order = signal.SIGINT if time.monotonic() < began + patience else signal.SIGKILL
        for kernel in psutil.Process().children():
            with suppress(ProcessLookupError):
                os.killpg(kernel.pid, order)  # a kernel leads the group of what it starts
