"""A set that is published as a list of addresses: photographs are downloaded one by one, cropped
and scaled.

The list is that of the NIPS 2017 adversarial competition, whose own script does the same: the part
between the relative corners (x1, y1) and (x2, y2), scaled to 299 x 299 by a Lanczos filter and
written as PNG. Its labels are those of a network
with 1001 outputs, of which 0 is no class: ImageNet's index is one less.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from blurpaper.data.fetching import TIMEOUT, FetchError, why
from blurpaper.networks.imagenet import imagenet_wnids
from blurpaper.progress import progress

if TYPE_CHECKING:
    from PIL import Image
    from requests import Session

SIDE = 299
AT_ONCE = 4
TOGETHER = 20
"""Photographs after which we stop if none of so many could be reached: it is then the network that
is away.
"""
AWAY = "not reached: "
"""How the reason begins where nothing answered, which says less than an answer that a photograph is
gone.
"""

ATTRIBUTION = ("file", "imagenet_index", "wnid", "author", "license", "url", "author_url")
LEFT_OUT = ("image", "url", "reason")


class _GoneError(Exception):
    """A photograph that is no longer at its address."""


def collect(listing: Path, folder: Path, web: Session) -> str:
    """Download the photographs of a list to ``val/<wnid>/`` below a folder, leaving out those that
    cannot be had.

    Authors and licences go to ``attribution.csv``; what was left out, and why, to ``left_out.csv``.
    Photographs that are there from an earlier attempt are kept.

    Returns:
        a sentence on what was left out, empty if nothing was.

    Raises:
        FetchError: if the network is away, or no photograph is to be had.
    """
    with listing.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    reasons: list[str] = []
    with (
        progress("downloading photographs", len(rows), "image") as tick,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):
        for start in range(0, len(rows), TOGETHER):
            some = list(
                pool.map(lambda row: _missing(row, folder, web), rows[start : start + TOGETHER])
            )
            if all(reason.startswith(AWAY) for reason in some):
                raise FetchError(
                    f"cannot download {rows[start]['URL']} and the {len(some) - 1} photographs after it ({some[0]}): check the"
                    " network and give the same command again; photographs that arrived are kept."
                )
            reasons += some
            tick(len(some))
        again = pool.map(
            lambda row, reason: _missing(row, folder, web) if reason.startswith(AWAY) else reason,
            rows,
            reasons,
        )
        reasons = list(again)
    there = [row for row, reason in zip(rows, reasons) if not reason]
    gone = [(row["ImageId"], row["URL"], reason) for row, reason in zip(rows, reasons) if reason]
    if not there:
        raise FetchError(
            f"none of the {len(rows)} photographs that {listing} names is to be had any longer ({gone[0][2]})."
        )
    _write(folder / "attribution.csv", ATTRIBUTION, [_attribution(row) for row in there])
    _write(folder / "left_out.csv", LEFT_OUT, gone)
    if not gone:
        return ""
    names = ", ".join(name for name, *_ in gone[:5]) + (", ..." if len(gone) > 5 else "")
    return f" {len(gone)} of {len(rows)} photographs could not be had ({names}); left_out.csv there says why."


def left_out(folder: Path) -> int:
    """How many photographs of a set were left out when it was fetched."""
    path = folder / "left_out.csv"
    if not path.is_file():
        return 0
    with path.open(encoding="utf-8", newline="") as file:
        return sum(1 for _ in csv.DictReader(file))


def _missing(row: Mapping[str, str], folder: Path, web: Session) -> str:
    """Download a photograph unless it is there; gives the reason if it cannot be had, else nothing."""
    import requests

    from blurpaper.writing import written

    path = folder / _file(row)
    if path.is_file():
        return ""
    try:
        image = _cropped(row, _content(row["URL"], web))
    except _GoneError as error:
        return str(error)
    except requests.RequestException as error:
        return f"{AWAY}{why(error)}"
    with written(path) as temporary:
        image.save(temporary)
    return ""


def _content(url: str, web: Session) -> bytes:
    import requests

    with web.get(url, timeout=TIMEOUT) as response:
        if response.status_code in (requests.codes.too_many_requests, *range(500, 600)):
            response.raise_for_status()
        if not response.ok:
            raise _GoneError(f"its address answers {response.status_code} {response.reason}")
        if (
            "photo_unavailable" in response.url
        ):  # what Flickr shows in place of a photograph that was removed
            raise _GoneError("it was removed by its owner")
        return response.content


def _cropped(row: Mapping[str, str], content: bytes) -> Image.Image:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content)) as opened:
            image = opened.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise _GoneError(f"what its address gives is no image that can be read: {error}") from None
    corners = zip(("x1", "y1", "x2", "y2"), 2 * image.size)
    box = tuple(int(float(row[corner]) * side) for corner, side in corners)
    return image.crop(box).resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def _file(row: Mapping[str, str]) -> str:
    if not re.fullmatch(r"\w+", row["ImageId"]):
        raise FetchError(
            f"the list of photographs names {row['ImageId']!r}, which is no name of an image: remove it."
        )
    return f"val/{imagenet_wnids()[_index(row)]}/{row['ImageId']}.png"


def _index(row: Mapping[str, str]) -> int:
    return int(row["TrueLabel"]) - 1


def _attribution(row: Mapping[str, str]) -> tuple[object, ...]:
    wnid = imagenet_wnids()[_index(row)]
    page = row["OriginalLandingURL"]
    return (
        _file(row),
        _index(row),
        wnid,
        row["Author"],
        row["License"],
        page,
        row["AuthorProfileURL"],
    )


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
