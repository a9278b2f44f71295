"""The book: run every chapter or one, begin a new one, build, clean up."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from blurpaper.cli.base import (
    cache_option,
    load_profile,
    main,
    need_data,
    override_option,
    profile_option,
)

if TYPE_CHECKING:
    from blurpaper.profile import Profile

browser_option = click.option(
    "--with-browser-model",
    is_flag=True,
    help="Let readers of the book show the networks images of their own: 31 MB more, from npm's registry and the onnx package.",
)


@main.command()
@profile_option
@override_option
@cache_option
@browser_option
@click.option(
    "--published", is_flag=True, help="Draw the book from the committed results, computing nothing."
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    help="Chapters to execute at once; unless told, as many as there are cores, 4 at most, and 1 where a GPU is used.",
)
@click.option(
    "--dry-run", is_flag=True, help="Say what would be done and what it would cost, and do nothing."
)
@click.option("--gpu", default="A100", show_default=True, help="For --dry-run, as in H100.")
def run(
    profile: str,
    overrides: tuple[str, ...],
    cache_gb: float | None,
    with_browser_model: bool,
    published: bool,
    jobs: int | None,
    dry_run: bool,
    gpu: str,
) -> None:
    """Execute every chapter, then build the book. What is done already is loaded, not redone."""
    import itertools

    from blurpaper import all_chapters, book, execution
    from blurpaper.store import Store

    settings, parsed = load_profile(profile, overrides, cache_gb)
    if dry_run:
        from blurpaper import plan

        click.echo(plan.describe(settings, gpu))
        return
    chapters = book.chapters()
    if not published:
        need_data(settings)
    if with_browser_model:
        from blurpaper import browser

        browser.prepare()
    whole = execution.Run(settings, parsed, profile, Store(), published)
    number = itertools.count(1)
    all_chapters.execute(
        chapters,
        whole,
        jobs or _jobs(settings),
        lambda name: click.echo(f"[{next(number)}/{len(chapters)}] {name}", err=True),
    )
    click.echo(f"[book] {book.build(settings, with_browser_model)}")


def _jobs(settings: Profile) -> int:
    """How many chapters to execute at once: the memory of a GPU is for one."""
    from blurpaper import devices

    return 1 if devices.device_of(settings.compute).type == "cuda" else min(4, os.cpu_count() or 1)


@main.command()
@click.argument("name")
@profile_option
@override_option
@cache_option
@click.option(
    "--published", is_flag=True, help="Draw it from the committed results, computing nothing."
)
def chapter(
    name: str, profile: str, overrides: tuple[str, ...], cache_gb: float | None, published: bool
) -> None:
    """Execute one chapter, NAME being its number or name (02, pretrained)."""
    from blurpaper import book, execution
    from blurpaper.store import Store

    settings, parsed = load_profile(profile, overrides, cache_gb)
    whole = book.chapter_named(name)
    if not published:
        need_data(settings)
    click.echo(
        execution.execute(whole, execution.Run(settings, parsed, profile, Store(), published))
    )


@main.command("new-chapter")
@click.argument("name")
def new_chapter(name: str) -> None:
    """Begin a chapter that runs as it is, notebooks/NN_NAME.py, and list it in the table of
    contents.
    """
    from blurpaper import new_chapter as new

    path = new.create(name)
    click.echo(f"{path}; try: blurpaper chapter {path.stem[:2]} --profile smoke")


@main.command()
@profile_option
@override_option
@browser_option
@click.option(
    "--pdf", is_flag=True, help="Also print it to one PDF, which needs Chromium and pypdf."
)
def book(profile: str, overrides: tuple[str, ...], with_browser_model: bool, pdf: bool) -> None:
    """Build the book from the chapters executed so far."""
    from blurpaper import book as books

    settings, _ = load_profile(profile, overrides)
    click.echo(books.build(settings, with_browser_model))
    if pdf:
        from blurpaper import pdf as printing

        click.echo(printing.write(settings))


@main.command()
@click.option(
    "--store",
    is_flag=True,
    help="Also remove the store: trained networks, predictions, embedded data.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
def clean(store: bool, yes: bool) -> None:
    """Remove executed chapters and built books; computed results stay in the store unless --store
    is given.
    """
    import shutil

    from blurpaper import book
    from blurpaper.store import default_root

    folders = [book.build_root(), *([default_root()] if store else [])]
    if (
        book.is_installed() and folders[0].exists() and not yes
    ):  # the current folder may be anybody's
        click.confirm(f"remove {folders[0]}, whatever is in it?", abort=True)
    if store and not yes:
        click.confirm(f"remove everything computed so far, in {default_root()}?", abort=True)
    for folder in folders:
        if folder.exists():
            shutil.rmtree(folder)
            click.echo(f"removed {folder}")
