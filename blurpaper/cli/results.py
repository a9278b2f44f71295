"""Results: publish them, check them, compare two tables."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from blurpaper.cli.base import load_profile, main, need_data, profile_option


@main.command()
@profile_option
def publish(profile: str) -> None:
    """Copy the results of a profile from the store to results/, to be committed."""
    from blurpaper.book import build, publication
    from blurpaper.runs.store import Store

    build.need_checkout("publish")
    settings, _ = load_profile(profile)
    need_data(settings)
    for path in publication.publish(settings, Store()):
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

    from blurpaper.experiments import comparison

    compared = comparison.compare(comparison.read(a), comparison.read(b))
    if as_json:
        click.echo(
            json.dumps(
                {"a": str(a), "b": str(b), **comparison.as_data(compared)},
                indent=1,
                allow_nan=False,
            )
        )
    else:
        click.echo(f"A: {a}\nB: {b}\n{comparison.told(compared, everything)}")
