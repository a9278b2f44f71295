"""Executing the chapters of a book, several at once.

Each is a process of its own, so where there is more than one core a book is made sooner; what is
computed is the same.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext, suppress

import psutil

from blurpaper.book import execution


def execute(
    chapters: Sequence[str],
    run: execution.Run,
    jobs: int = 1,
    tell: Callable[[str], object] = lambda chapter: None,
) -> None:
    """Execute chapters, several at once but for the first and those that tell how artifacts were
    made.

    The first shows numbers of all the others, so it computes nearly all there is to compute, with
    nothing beside it; the last ones are to find what the others had made.

    Args:
        jobs: how many at once; each is a process of its own.
        tell: called with the name of each that begins.

    Raises:
        BookError: of the first that fails; the others are stopped, and what they had made is kept.
    """
    first, *others = chapters
    last = [chapter for chapter in others if execution.shows_the_store(chapter)]
    middle = [chapter for chapter in others if chapter not in last]
    failed = threading.Event()

    def one(chapter: str) -> None:
        if failed.is_set():
            return
        tell(chapter)
        try:
            execution.execute(chapter, run)
        except BaseException:
            failed.set()
            raise

    def several(chapters: Sequence[str], jobs: int) -> None:
        with ThreadPoolExecutor(jobs) as pool:
            running = [pool.submit(one, chapter) for chapter in chapters]
            try:
                for future in wait(running, return_when=FIRST_EXCEPTION).done:
                    future.result()
            except BaseException:
                failed.set()
                _stop(running)
                raise

    one(first)
    with _yielding_threads() if jobs > 1 else nullcontext():
        several(middle, jobs)
    several(last, 1)


@contextmanager
def _yielding_threads() -> Iterator[None]:
    """Have the threads of kernels that are started sleep when they have nothing to do: where there
    are more threads than cores, those that wait by asking again and again keep the others from
    working. What they compute is the same.
    """
    name = "OMP_WAIT_POLICY"
    before = os.environ.get(name)
    os.environ.setdefault(name, "PASSIVE")
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]


def _stop(running: Sequence[Future[None]], patience: float = 5) -> None:
    """Interrupt the chapters that execute; after so many seconds, end them."""
    began = time.monotonic()
    while wait(running, timeout=0.5).not_done:  # between two cells a kernel hears no interrupt
        order = signal.SIGINT if time.monotonic() < began + patience else signal.SIGKILL
        for kernel in psutil.Process().children():
            with suppress(ProcessLookupError):
                os.killpg(kernel.pid, order)  # a kernel leads the group of what it starts
