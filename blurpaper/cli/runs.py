"""Verbs on runs: the book or a chapter of it, and results published, checked and compared."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from blurpaper.cli.base import load_profile, main, need_data, override_option, profile_option
from blurpaper.runs import Run

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

    from blurpaper.book import build, execution
    from blurpaper.runs.store import Store

    settings, parsed = load_profile(profile, overrides)
    if dry_run:
        from blurpaper.experiments import plan

        click.echo(plan.describe(settings, gpu))
        return
    chapters = build.chapters()
    if not published:
        need_data(settings)
    whole = execution.Edition(settings, parsed, profile, Store(), published)
    number = itertools.count(1)
    execution.execute_all(
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
        execution.execute(whole, execution.Edition(settings, parsed, profile, Store(), published))
    )


@main.command()
@profile_option
@override_option
def book(profile: str, overrides: tuple[str, ...]) -> None:
    """Build the book from the chapters executed so far."""
    from blurpaper.book import build as books

    settings, _ = load_profile(profile, overrides)
    click.echo(books.build(settings))


@main.command()
@profile_option
def publish(profile: str) -> None:
    """Copy the results of a profile from the store to results/, to be committed."""
    from blurpaper.book import build, publication
    from blurpaper.runs.store import Store

    build.need_checkout("publish")
    settings, _ = load_profile(profile)
    need_data(settings)
    for path in publication.publish(Run(settings, Store())):
        click.echo(path)


@main.command()
@profile_option
@click.option(
    "--published",
    is_flag=True,
    help="Check the committed results instead of the chapters executed here.",
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print the verdicts on the claims as data, and what is wrong as errors.",
)
def check(profile: str, published: bool, as_json: bool) -> None:
    """Check the book: chapters executed, results as new as their code, claims decided.

    Prints a line for each failing and exits 1 if there is one.
    """
    import json

    from blurpaper.book import check

    settings, _ = load_profile(profile)
    problems, claims = check.check(settings, published)
    if as_json:
        click.echo(json.dumps(claims, indent=1, allow_nan=False))
    for sentence in problems:
        click.echo(sentence, err=as_json)
    click.echo(check.outcome(len(problems), len(claims), settings, published), err=as_json)
    sys.exit(1 if problems else 0)


@main.command()
@click.argument("a", metavar="A.csv", type=click.Path(path_type=Path))
@click.argument("b", metavar="B.csv", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="The same as data, with all rows.")
@click.option(
    "--all", "everything", is_flag=True, help="Show every row that moved, not the first 40."
)
def compare(a: Path, b: Path, as_json: bool, everything: bool) -> None:
    """Compare two tables of results row by row, and say what moved beyond its interval.

    A difference is no error: the exit status is 0 if both could be read.
    """
    import json

    from blurpaper.cli import comparison
    from blurpaper.evaluation import results

    compared = comparison.compare(results.read(a), results.read(b))
    if as_json:
        click.echo(
            json.dumps(
                {"a": str(a), "b": str(b), **comparison.as_data(compared)},
                indent=1,
                allow_nan=False,
            )
        )
    else:
        click.echo(f"A: {a}\nB: {b}\n{comparison.as_text(compared, everything)}")
