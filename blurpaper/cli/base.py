"""The group of verbs with its handling of errors, the options that verbs share, and messages before
and after the work.
"""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from typing import Any

import click

from blurpaper import __version__
from blurpaper.runs import files
from blurpaper.runs.files import UserError

_KEPT = "what was finished is kept: give the same command again to go on"
_WRITTEN = "the images that were written are whole"

PATH = click.Path(path_type=Path)

ADVICE = (
    "With many labels for each class, fine-tune with labels; with unlabelled photographs alone, "
    "fine-tune with --unlabelled; and with neither, if images come in batches of one blur, mix the "
    "batch-norm statistics of each batch with the network's own, which needs no training."
)
"""What to do against blur, as the experiment on adaptation has it."""


class _Refusal(click.ClickException):
    """A user's mistake: one sentence, exit status 2."""

    exit_code = 2


class Command(click.Group):
    """Turns the errors that are a user's into one sentence and exit status 2, and an interrupt into
    how to go on; any other exception shows its traceback. What the terminal cannot show, such as a
    file name that is no text, is printed as a code.
    """

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):  # a notebook's is of another kind
                stream.reconfigure(errors="backslashreplace")
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            images = ctx.invoked_subcommand in ("blur", "deblur")
            click.echo(f"\nstopped; {_WRITTEN if images else _KEPT}.", err=True)
            ctx.exit(130)
        except Exception as error:
            sentence = _sentence(error)
            if sentence is None:
                raise
            raise _Refusal(sentence) from None


def _sentence(error: Exception) -> str | None:
    """The message for an error that is the user's to mend; None for a fault of the program."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError) and error.errno in (*files.NO_SPACE, errno.EROFS):
        return files.unwritten(error.filename or "a file", error)
    if isinstance(error, ModuleNotFoundError) and not f"{error.name}.".startswith("blurpaper."):
        return (
            f"the package {error.name} is not installed: pip install 'blurpaper[book]' brings "
            "what the experiments, reports, downloads and the book need."
        )
    # torch's own class, known by its name so that torch is not imported for it.
    if type(error).__name__ == "OutOfMemoryError":
        return (
            "the GPU has too little memory: make batches smaller (-p evaluation.batch=N, or "
            "batch of the section that trains; the run with --dry-run says what is needed), "
            "or compute elsewhere (-p compute.device=cpu)."
        )
    return None


profile_option = click.option(
    "--profile", default="emoji", help="emoji, photos, imagenet, smoke, or a YAML file."
)
override_option = click.option(
    "-p",
    "overrides",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Override a field of the profile: -p protocol.jitter=[384].",
)


_STYLE = {"help_option_names": ["-h", "--help"], "max_content_width": 100, "show_default": True}


@click.group(cls=Command, context_settings=_STYLE)
@click.version_option(__version__)
def main() -> None:
    """Blur and recognition: a paper that can be read, re-run and used.

    Start with `blurpaper run`: it makes the embedded data, trains and measures the networks and
    builds the book. Everything computed is kept in a store ($BLURPAPER_STORE, else your cache
    folder) and loaded the next time.
    """


def load_profile(name: str, overrides: tuple[str, ...] = ()) -> tuple[Any, dict[str, Any]]:
    """A profile with its overrides, and the overrides parsed: how a run begins."""
    from blurpaper.runs import profile
    from blurpaper.runs.devices import keep_freed_memory

    keep_freed_memory()
    parsed = profile.parse_overrides(overrides)
    return profile.load(name, parsed), parsed


def need_data(profile: Any) -> None:  # noqa: ANN401
    """Check that a profile can be run: its names are known and its photographs are there.

    Raises:
        UserError: naming what is not known, or each folder that is missing.
    """
    from blurpaper import data
    from blurpaper.experiments import plan

    plan.check_profile(profile)
    if missing := data.missing(profile):
        missing.append("Nothing was run.")
        if (files.RESULTS / f"{profile.name}.csv").is_file():
            command = f"blurpaper run --published --profile {profile.name}"
            missing.append(f"To see the published results instead: {command}")
        raise UserError("\n".join(missing))


def each_once(option: str, text: str, separator: str = ",") -> list[str]:
    """The values of an option that is a list without repetitions."""
    values = [value.strip() for value in text.split(separator)]
    if len(set(values)) < len(values):
        raise UserError(f"each of {option} is named once. Got {', '.join(values)}.")
    return values


def say_left_out(folder: Path, sentences: list[str], read: int) -> None:
    """Report which images were left out beside so many that were read, the first ten by name, and
    the pictures in the folder whose formats are not read.
    """
    from blurpaper.data.images import OTHER_PICTURES, image_files

    for sentence in sentences[:10]:
        click.echo(f"left out: {sentence}", err=True)
    if sentences:
        first = " (the first 10 are named)" if len(sentences) > 10 else ""
        left = f"{len(sentences):,} of {read + len(sentences):,} images"
        click.echo(f"{left} cannot be read and were left out{first}", err=True)
    others = [path.name for path in image_files(folder, OTHER_PICTURES)]
    if others:
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        advice = "save them as PNG or JPEG to have them read"
        click.echo(f"passed over: {', '.join(others[:3])}{more}; {advice}", err=True)
