"""The book: run every chapter or one, build."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from blurpaper.cli.base import (
    load_profile,
    main,
    need_data,
    override_option,
    profile_option,
)

if TYPE_CHECKING:
    from blurpaper.runs.profile import Profile


@main.command()
@profile_option
@override_option
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
    published: bool,
    jobs: int | None,
    dry_run: bool,
    gpu: str,
) -> None:
    """Execute every chapter, then build the book. What is done already is loaded, not redone."""
    import itertools

    from blurpaper.book import all_chapters, build, execution
    from blurpaper.runs.store import Store

    settings, parsed = load_profile(profile, overrides)
    if dry_run:
        from blurpaper.experiments import plan

        click.echo(plan.describe(settings, gpu))
        return
    chapters = build.chapters()
    if not published:
        need_data(settings)
    whole = execution.Run(settings, parsed, profile, Store(), published)
    number = itertools.count(1)
    all_chapters.execute(
        chapters,
        whole,
        jobs or _jobs(settings),
        lambda name: click.echo(f"[{next(number)}/{len(chapters)}] {name}", err=True),
    )
    click.echo(f"[book] {build.build(settings)}")


def _jobs(settings: Profile) -> int:
    """How many chapters to execute at once: the memory of a GPU is for one."""
    from blurpaper.runs import devices

    return 1 if devices.device_of(settings.compute).type == "cuda" else min(4, os.cpu_count() or 1)


@main.command()
@click.argument("name")
@profile_option
@override_option
@click.option(
    "--published", is_flag=True, help="Draw it from the committed results, computing nothing."
)
def chapter(name: str, profile: str, overrides: tuple[str, ...], published: bool) -> None:
    """Execute one chapter: NAME is the number or the name of its notebook."""
    from blurpaper.book import build, execution
    from blurpaper.runs.store import Store

    settings, parsed = load_profile(profile, overrides)
    whole = build.chapter_named(name)
    if not published:
        need_data(settings)
    click.echo(
        execution.execute(whole, execution.Run(settings, parsed, profile, Store(), published))
    )


@main.command()
@profile_option
@override_option
def book(profile: str, overrides: tuple[str, ...]) -> None:
    """Build the book from the chapters executed so far."""
    from blurpaper.book import build as books

    settings, _ = load_profile(profile, overrides)
    click.echo(books.build(settings))
