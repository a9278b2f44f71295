"""What headers of files of networks say, looked at before it is believed."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path

from blurpaper.networks.base import WeightsError


def check(header: Mapping[str, str], path: Path) -> None:
    """See that those parts of a header that are read as JSON are what they should be.

    Raises:
        WeightsError: for the first that is not, naming it.

    >>> path = Path("mine.safetensors")
    >>> check({"classes": '["cat", "dog"]', "field": "64"}, path)
    >>> try:
    ...     check({"field": "large"}, path)
    ... except WeightsError as error:
    ...     print(error)
    mine.safetensors: field in its header must be a number of pixels. Got 'large'.
    """
    for name, (holds, what) in _SAID.items():
        if name in header and not holds(_value(header[name])):
            raise WeightsError(
                f"{path}: {name} in its header must be {what}. Got {textwrap.shorten(header[name], 60)!r}."
            )


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _are_names(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, str) for one in value)


def _are_channels(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 3
        and all(type(one) in (int, float) for one in value)
    )


_SAID: dict[str, tuple[Callable[[object], bool], str]] = {
    "classes": (_are_names, "a list of names"),
    "field": (lambda value: type(value) is int and value > 0, "a number of pixels"),
    "mean": (_are_channels, "three numbers"),
    "std": (_are_channels, "three numbers"),
}
"""Parts of a header that are read as JSON: what holds of each, in code and in words."""
