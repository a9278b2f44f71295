"""Images: blur them, deblur them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from blurpaper.cli.base import main, say_passed_over
from blurpaper.runs.files import UserError

_PIXELS = "Sizes in pixels of the image itself, not of its smaller side scaled to 384; those of a file always are."


class _Place(click.Path):
    """A file or a folder; an empty name, as of a variable that is not set, is not the current one."""

    def convert(self, value: Any, *about: Any) -> Any:  # noqa: ANN401 (as click has it)
        if value == "":
            raise UserError("IN or OUT is empty: name a file or a folder.")
        return super().convert(value, *about)


@main.command()
@click.argument("source", metavar="IN", type=_Place(path_type=Path))
@click.argument("target", metavar="OUT", type=_Place(path_type=Path))
@click.option(
    "--psf",
    required=True,
    help="D8, H8, V4, G4, shake:17; shake: a test kernel an image; or a file, .npy or a picture.",
)
@click.option("--pixels", is_flag=True, help=_PIXELS)
def blur(source: Path, target: Path, psf: str, pixels: bool) -> None:
    """Blur an image, or every image of a folder; sizes speak of an image whose smaller side is 384."""
    from blurpaper.cli import files

    _say_written(files.blur(source, target, psf, pixels), "blurred", source, target)


@main.command()
@click.argument("source", metavar="IN", type=_Place(path_type=Path))
@click.argument("target", metavar="OUT", type=_Place(path_type=Path))
@click.option(
    "--psf",
    required=True,
    help="What it was blurred with: D8, H8, V4, G4, shake:17; shake for a whole folder; or a file, .npy or a picture.",
)
@click.option(
    "--method",
    default="epll",
    show_default=True,
    help="epll, epll-exact, total-variation, gradient, wiener, richardson-lucy.",
)
@click.option(
    "--noise",
    type=float,
    help="Of the image, in grey levels.  [default: that of rounding to 8 bits; more for JPEG]",
)
@click.option(
    "--prior",
    type=click.Path(path_type=Path),
    help="A .safetensors file of EPLL's.  [default: one comes along]",
)
@click.option("--pixels", is_flag=True, help=_PIXELS)
def deblur(
    source: Path,
    target: Path,
    psf: str,
    method: str,
    noise: float | None,
    prior: Path | None,
    pixels: bool,
) -> None:
    """Deblur an image, or every image of a folder, that was blurred with a known PSF.

    Best from a file without loss, such as PNG: what JPEG leaves out is noise that must not be
    magnified. What it was is told from the file; of WebP it is not known, and --noise 1 a fair
    guess.
    """
    from blurpaper import deblurring
    from blurpaper.cli import files

    mixture = deblurring.load_prior(prior) if prior else None
    assumed = (
        files.assumed_noise(source) if noise is None and source.is_file() else deblurring.ROUNDING
    )
    outcome = files.deblur(source, target, psf, method, noise, mixture, pixels)
    if assumed > deblurring.ROUNDING:
        click.echo(
            f"{source} is a JPEG: noise of {assumed:.1f} grey levels was assumed in it (--noise "
            "sets another)",
            err=True,
        )
    elif noise is None and source.is_dir():
        click.echo(
            "noise was assumed as each file's format leaves it (--noise sets one for all)", err=True
        )
    _say_written(outcome, "deblurred", source, target)


def _say_written(outcome: tuple[int, list[str]], verb: str, source: Path, target: Path) -> None:
    """Tell how many images were written and which were not, and exit."""
    done, broken = outcome
    for sentence in broken:
        click.echo(f"left out: {sentence}", err=True)
    say_passed_over(source)
    click.echo(f"{done} image{'' if done == 1 else 's'} {verb} to {target}")
    sys.exit(1 if broken else 0)
