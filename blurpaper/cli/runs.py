"""Verbs on runs: the book or a chapter of it, and results published, checked and compared."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from blurpaper.cli.base import PATH, load_profile, main, need_data, override_option, profile_option
from blurpaper.runs import Run
from blurpaper.runs.files import UserError

if TYPE_CHECKING:
    from blurpaper.book.execution import Edition

published_option = click.option(
    "--published", is_flag=True, help="Use the committed results, computing nothing."
)


def _named(_: object, __: object, text: str | None) -> list[str]:
    """The experiments of a list with commas, in the paper's order.

    Raises:
        UserError: if one is not known.
    """
    from blurpaper.experiments import EXPERIMENTS

    names = (text or "").replace(",", " ").split()
    if unknown := [name for name in names if name not in (*EXPERIMENTS, "all")]:
        raise UserError(f"an experiment is one of {', '.join(EXPERIMENTS)}. Got {unknown[0]!r}.")
    return [name for name in EXPERIMENTS if name in names or "all" in names]


experiments_option = click.option(
    "--experiments",
    callback=_named,
    metavar="NAME,...",
    help="Only some experiments, such as table1,table3, or all of them.",
)


@main.command()
@profile_option
@override_option
@published_option
@experiments_option
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    help="Chapters to execute at once.  [default: the cores, 4 at most; 1 on a GPU]",
)
@click.option(
    "--dry-run", is_flag=True, help="Say what would be done and what it would cost, and do nothing."
)
@click.option("--gpu", default="A100", help="For --dry-run, as in H100.")
def run(
    profile: str,
    overrides: tuple[str, ...],
    published: bool,
    experiments: list[str],
    jobs: int | None,
    dry_run: bool,
    gpu: str,
) -> None:
    """Execute every chapter, then build the book; or compute some experiments and no more. What is
    done already is loaded, not redone.
    """
    import itertools

    from blurpaper.book import build, execution, publication
    from blurpaper.runs.devices import device_of

    if dry_run:
        from blurpaper.experiments import plan

        click.echo(plan.describe(load_profile(profile, overrides)[0], gpu))
        return
    edition = _edition(profile, overrides, published)
    for name in experiments:
        rows, _ = publication.compute(name, Run(edition.profile, edition.store))
        click.echo(f"[{name}] {len(rows)} rows")
    if experiments:
        return
    # The memory of a GPU is for one chapter.
    gpu = device_of(edition.profile.compute).type == "cuda"
    chapters, number = build.chapters(), itertools.count(1)
    execution.execute_all(
        chapters,
        edition,
        jobs or (1 if gpu else min(4, os.cpu_count() or 1)),
        lambda name: click.echo(f"[{next(number)}/{len(chapters)}] {name}", err=True),
    )
    click.echo(f"[book] {build.build(edition.profile)}")


def _edition(profile: str, overrides: tuple[str, ...], published: bool) -> Edition:
    """The settings that chapters are executed with.

    Raises:
        UserError: if they would be computed and the data is not there.
    """
    from blurpaper.book.execution import Edition
    from blurpaper.runs.store import Store

    settings, parsed = load_profile(profile, overrides)
    if not published:
        need_data(settings)
    return Edition(settings, parsed, profile, Store(), published)


@main.command()
@click.argument("name")
@profile_option
@override_option
@published_option
def chapter(name: str, profile: str, overrides: tuple[str, ...], published: bool) -> None:
    """Execute one chapter: NAME is the number or the name of its notebook."""
    from blurpaper.book import build, execution

    whole = build.chapter_named(name)
    click.echo(execution.execute(whole, _edition(profile, overrides, published)))


@main.command()
@profile_option
@override_option
def book(profile: str, overrides: tuple[str, ...]) -> None:
    """Build the book from the chapters executed so far."""
    from blurpaper.book import build

    settings, _ = load_profile(profile, overrides)
    click.echo(build.build(settings))


@main.command()
@profile_option
@experiments_option
def publish(profile: str, experiments: list[str]) -> None:
    """Copy the results of a profile from the store to results/, to be committed: those of all
    experiments that it has in full, or of some, computing what is missing.
    """
    from blurpaper.book import build, publication
    from blurpaper.runs.store import Store

    build.need_checkout("publish")
    settings, _ = load_profile(profile)
    need_data(settings)
    for path in publication.publish(Run(settings, Store()), experiments):
        click.echo(path)


@main.command()
@profile_option
@published_option
@click.option(
    "--json", "as_json", is_flag=True, help="Print the claims' verdicts as JSON, faults as errors."
)
def check(profile: str, published: bool, as_json: bool) -> None:
    """Check the book: chapters executed, results as new as their code, claims decided.

    Prints a line for each fault and exits 1 if there is one.
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
@click.argument("a", metavar="A.csv", type=PATH)
@click.argument("b", metavar="B.csv", type=PATH)
def compare(a: Path, b: Path) -> None:
    """Compare two tables of results row by row, and list what moved beyond its interval.

    A difference is no error: the exit status is 0 if both could be read.
    """
    from blurpaper.evaluation import results

    compared = results.compare(results.read(a), results.read(b))
    click.echo(f"A: {a}\nB: {b}\n{results.as_text(compared)}")
