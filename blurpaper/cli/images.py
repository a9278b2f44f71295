"""Images: blur and deblur one's own; list, fetch and verify sets of photographs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from blurpaper.cli.base import PATH, main, say_left_out
from blurpaper.runs.files import UserError


class _Place(click.Path):
    """A file or a folder; an empty name, as of an unset variable, is not the current folder."""

    def convert(self, value: Any, *about: Any) -> Any:  # noqa: ANN401 (as click has it)
        if value == "":
            raise UserError("IN or OUT is empty: name a file or a folder.")
        return super().convert(value, *about)


source_argument = click.argument("source", metavar="IN", type=_Place(path_type=Path))
target_argument = click.argument("target", metavar="OUT", type=_Place(path_type=Path))
pixels_option = click.option(
    "--pixels",
    is_flag=True,
    help="Sizes in pixels of the image itself, not of its smaller side scaled to 384; "
    "those of a file always are.",
)


@main.command()
@source_argument
@target_argument
@click.option(
    "--psf",
    required=True,
    help="D8, H8, V4, G4, shake:17; shake: a test kernel an image; or a file, .npy or a picture.",
)
@pixels_option
def blur(source: Path, target: Path, psf: str, pixels: bool) -> None:
    """Blur an image, or every image of a folder; sizes are those in an image whose smaller side
    is 384.

    A photograph of 24 megapixels needs about 1.5 GB of memory.
    """
    from blurpaper.cli import files

    _say_written(files.blur(source, target, psf, pixels), "blurred", source, target)


@main.command()
@source_argument
@target_argument
@click.option(
    "--psf",
    required=True,
    help="The PSF of the blur: D8, H8, V4, G4, shake:17; shake for a whole folder; "
    "or a file, .npy or a picture: of a point of light, as the blurred image shows it.",
)
@click.option(
    "--border",
    default="unknown",
    help="unknown: around a camera's frame the scene goes on; mirror: of images from "
    "blurpaper blur.",
)
@click.option(
    "--method",
    default="epll",
    help="epll, epll-exact, total-variation, gradient, wiener, richardson-lucy.",
)
@click.option(
    "--noise",
    type=float,
    help="Of the image, in grey levels.  [default: estimated; more for JPEG and measured PSFs]",
)
@click.option(
    "--prior", type=PATH, help="A .safetensors file of EPLL's.  [default: the bundled one]"
)
@pixels_option
def deblur(source: Path, target: Path, psf: str, prior: Path | None, **how: Any) -> None:  # noqa: ANN401
    """Deblur an image, or every image of a folder, that was blurred with a known PSF.

    Best from a lossless file, such as PNG: what JPEG leaves out is noise that must not be
    magnified. How much that is, is read from the file; of WebP it is not known, and --noise 1 a
    fair guess. Pixels at 255 are taken as clipped by a camera unless the border is a mirror.
    """
    from blurpaper import deblurring
    from blurpaper.cli import files

    mixture, assumed = deblurring.load_prior(prior) if prior else None, []
    outcome = files.deblur(source, target, psf, prior=mixture, report=assumed.append, **how)
    if how["noise"] is None and assumed:
        levels = " to ".join(dict.fromkeys(f"{one:.1f}" for one in (min(assumed), max(assumed))))
        click.echo(f"noise of {levels} grey levels was assumed (--noise sets another)", err=True)
    _say_written(outcome, "deblurred", source, target)


def _say_written(outcome: tuple[int, list[str]], verb: str, source: Path, target: Path) -> None:
    """Report how many images were written and which were not, and exit."""
    done, broken = outcome
    say_left_out(source, broken, done)
    click.echo(f"{done} image{'' if done == 1 else 's'} {verb} to {target}")
    sys.exit(1 if broken else 0)


# --- Sets of photographs --------------------------------------------------------------------------


@main.group("data")
def data_group() -> None:
    """List, fetch and verify sets of photographs."""


@data_group.command("list")
def data_list() -> None:
    """List every known set: its content, whether it is there and how to get it."""
    from blurpaper.data import download

    click.echo("\n".join(download.overview()))


@data_group.command("fetch")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
def data_fetch(names: tuple[str, ...]) -> None:
    """Download sets of photographs; one that is there is left alone."""
    from blurpaper.data import catalogue, download

    for source in [catalogue.known_set(name) for name in names]:
        click.echo(download.fetch(source.name))


@data_group.command("verify")
@click.argument("names", metavar="[NAME]...", nargs=-1)
def data_verify(names: tuple[str, ...]) -> None:
    """Read every image of the sets named, or of all that are there; exit 1 if one is missing or
    broken.
    """
    from blurpaper.data import download
    from blurpaper.runs.files import data_folder

    sets = names or download.found()
    broken = False
    for name in sets:
        problems = download.verify(name)
        click.echo("\n".join(problems) or f"{name} is whole.", err=bool(problems))
        broken = broken or bool(problems)
    if not sets:
        place = data_folder().absolute()
        click.echo(f"no set of photographs is in {place}: `blurpaper data list` lists all.")
    sys.exit(1 if broken else 0)
