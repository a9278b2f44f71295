"""How fast this installation is."""

from __future__ import annotations

from pathlib import Path

import click

from blurpaper.cli.base import main


@main.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--quick",
    is_flag=True,
    help="Few images and rounds, to see that everything works; the numbers mean little.",
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print the numbers as data; the tables then go to standard error.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="JSON file whose numbers these replace, each benchmark its own.",
)
def bench(names: tuple[str, ...], quick: bool, as_json: bool, out: Path | None) -> None:
    """Measure how fast this is, side by side with the best of others, on this machine; it should
    have nothing else to do.

    NAME is blurring, limits, table1, finetuning, deblurring, priors, growth or starting, all of
    them without one, or whole, which runs the embedded profiles from cold and takes most of an
    hour. Peers that are not installed are left out: pip install -e '.[bench]'.
    """
    import json

    from blurpaper import speed

    def show(name: str, rows: list[dict[str, object]]) -> None:
        click.echo(f"\n{name}\n{speed.as_text(rows)}", err=as_json)

    found = speed.bench(names, quick, show)
    if out:
        speed.keep(found, out)
    if as_json:
        click.echo(json.dumps(found, indent=1))
