"""Options for networks that are not the project's, and the network that a user names with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from blurpaper.errors import UserError


def _three(
    _: click.Context, parameter: click.Parameter, text: str | None
) -> tuple[float, ...] | None:
    """Three numbers with commas, or one for all three."""
    if text is None:
        return None
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if len(found) not in (1, 3):
        raise UserError(f"{parameter.opts[0]} is three numbers with commas, or one. Got {text!r}.")
    return found * (3 // len(found))


def elsewhere_options(command: Callable) -> Callable:
    """Add what can be said of a network from timm, from torchvision or from a function of one's
    own.
    """
    for option in (
        click.option(
            "--std", callback=_three, metavar="R,G,B", help="The deviation that goes with --mean."
        ),
        click.option(
            "--mean",
            callback=_three,
            metavar="R,G,B",
            help="That its input has subtracted, of grey levels 0 to 1.",
        ),
        click.option(
            "--field",
            type=click.IntRange(1),
            metavar="PIXELS",
            help="Side of the crops it was trained on.",
        ),
        click.option(
            "--classes", type=click.Path(path_type=Path), help="Names of its classes, a line each."
        ),
        click.option(
            "--weights",
            type=click.Path(path_type=Path),
            help="Weights of a network that is not ours (.safetensors).",
        ),
    ):
        command = option(command)
    return command


def named(network: str, images: Path, said: dict[str, Any]) -> Any:  # noqa: ANN401 (a network of ours, or from elsewhere)
    """The network that a user names; of one from elsewhere what it is is told, and the folder may
    name its classes.
    """
    from blurpaper.networks import released
    from blurpaper.networks.foreign_spec import ForeignSpec

    if said["classes"] is not None:
        said = said | {"classes": _names(said["classes"])}
    found = released.named(network, **said)
    if isinstance(found, ForeignSpec):
        found = found.with_classes_of(images)
        click.echo(f"network: {found}, {found.told}", err=True)
    return found


def _names(path: Path) -> list[str]:
    try:
        names = [
            line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()
        ]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--classes {path} cannot be read as a text file: {error}.") from None
    if not names or len(set(names)) < len(names):
        raise UserError(
            f"--classes {path} names each class once, a line each. Got {len(names)} lines, {len(set(names))} differ."
        )
    return names
