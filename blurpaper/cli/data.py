"""Sets of photographs: list, fetch and verify them."""

from __future__ import annotations

import sys

import click

from blurpaper.cli.base import main


@main.group("data")
def data_group() -> None:
    """List, fetch and verify sets of photographs."""


@data_group.command("list")
def data_list() -> None:
    """Say of every known set what it is, whether it is there and how to get it."""
    from blurpaper.data import download

    click.echo("\n".join(download.overview()))


@data_group.command("fetch")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
def data_fetch(names: tuple[str, ...]) -> None:
    """Download sets of photographs; one that is there is left alone."""
    from blurpaper.data import download, sources

    for source in [sources.source_of(name) for name in names]:
        click.echo(download.fetch(source.name))


@data_group.command("verify")
@click.argument("names", metavar="[NAME]...", nargs=-1)
def data_verify(names: tuple[str, ...]) -> None:
    """Read every image of the sets named, or of all that are there; exit 1 if one is missing or
    broken.
    """
    from blurpaper.data import download
    from blurpaper.runs.files import data_folder

    broken = False
    for name in names or download.found():
        problems = download.verify(name)
        click.echo("\n".join(problems) or f"{name} is whole.", err=bool(problems))
        broken = broken or bool(problems)
    if not names and not download.found():
        click.echo(
            f"no set of photographs is in {data_folder().absolute()}: `blurpaper data list` says "
            "what there is."
        )
    sys.exit(1 if broken else 0)
