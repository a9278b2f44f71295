"""Sets of photographs in the data folder: fetched by pooch from the addresses of the catalogue,
listed, and verified.

A set is arranged below a temporary name and renamed when it is whole, so that a fetch that is
stopped, by whatever, leaves no folder that looks like the set. What was downloaded stays and is not
asked for again.
"""

from __future__ import annotations

import csv
import re
import tarfile
import tempfile
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pooch
import requests

from blurpaper import __version__
from blurpaper.data.catalogue import CATALOGUE, PhotographSet, known_set
from blurpaper.data.images import ImageError, decoding, image_files, problems, read_image
from blurpaper.data.sets import imagenet_wnids
from blurpaper.runs.files import UserError, data_folder, explained
from blurpaper.runs.progress import progress

LEFT_OUT = "left_out.txt"
"""File that names, a line each, the photographs of a list that could not be downloaded."""

pooch.get_logger().setLevel("WARNING")


class FetchError(UserError):
    """A set that cannot be downloaded or unpacked, in one sentence."""


class GoneError(FetchError):
    """A file that its server does not have, or no longer."""


def fetch(name: str) -> str:
    """Download a set of photographs into the data folder, unless it is there; a sentence on it.

    Raises:
        UserError: for an unknown name.
        FetchError: if it cannot be downloaded or unpacked, saying why and what to do.
    """
    source, root = known_set(name), data_folder().absolute()
    target = root / name
    if source.there(root) == list(source.folders):
        return f"{name} is there already, in {target}; it is left alone."
    if not source.url:
        raise FetchError(f"{name} is {source.how_to_get} below {target}.")
    if target.exists():
        raise FetchError(
            f"{target} is in the way: it is not the whole of {name}; move or remove it and fetch "
            "again."
        )
    with explained(target):
        root.mkdir(parents=True, exist_ok=True)
        archive = download(source.url, source.checksum, root / source.archive)
        with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=root) as scratch:
            made = Path(scratch, name)
            if source.listing:
                note = _collect(archive, made)
            else:
                note = _unpack(archive, Path(scratch, "archive"), made, source)
            if source.there(Path(scratch)) != list(source.folders):
                raise FetchError(f"{archive} is not all of {name}: remove it and fetch again.")
            made.rename(target)
    return f"{name} is in {target}.{note} {archive.parent} may be removed."


def download(url: str, checksum: str, path: Path, bar: bool = True) -> Path:
    """Download a file to a path, unless it is there with the right checksum (or without any).

    Raises:
        FetchError: if that fails, or its checksum is another; then the file is not kept.
    """
    headers = {"User-Agent": f"blurpaper/{__version__}", "Accept-Encoding": "identity"}
    web = pooch.HTTPDownloader(
        progressbar=bar, chunk_size=2**16, headers=headers, hooks={"response": _check_response}
    )
    again = f"fetch again, or put the file at {path} by hand"
    try:
        pooch.retrieve(url, checksum or None, path.name, path.parent, downloader=web)
    except requests.RequestException as error:
        status = error.response.status_code if error.response is not None else 0
        kind = GoneError if 400 <= status < 500 and status != 429 else FetchError
        raise kind(f"cannot download {url} ({_why(error)}): {again}.") from None
    except ValueError as error:  # pooch, of a checksum
        raise FetchError(f"{str(error).partition('. ')[0]} of {url}: {again}.") from None
    return path


def _check_response(response: requests.Response, **_: object) -> None:
    """Refuse an unencrypted response of another machine, after redirections too."""
    address = urlsplit(response.url)
    if address.scheme != "https" and address.hostname != "127.0.0.1":
        raise requests.exceptions.InvalidSchema(f"{response.url} is no https address")
    if "photo_unavailable" in address.path:  # what Flickr shows instead of what was removed
        response.status_code, response.reason = requests.codes.gone, "removed by its owner"


def _why(error: requests.RequestException) -> str:
    """A connection error in a few words."""
    if isinstance(error, requests.HTTPError):
        return f"it answers {error.response.status_code} {error.response.reason}"
    for kind, words in {
        requests.exceptions.SSLError: "its certificate is not accepted",
        requests.Timeout: f"no answer within {pooch.downloaders.DEFAULT_TIMEOUT} seconds",
        requests.exceptions.ChunkedEncodingError: "the connection was cut off",
        requests.ConnectionError: "no connection",
    }.items():
        if isinstance(error, kind):
            return words
    return str(error)


# --- From what was downloaded to folders ----------------------------------------------------------


def _unpack(archive: Path, scratch: Path, folder: Path, source: PhotographSet) -> str:
    """Unpack a tar or zip archive and move the files of a set to their places below its folder; a
    sentence if the archive has no published checksum.
    """
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as opened:
                opened.extractall(scratch)  # which drops what leads a name outside
        else:
            with tarfile.open(archive) as opened:
                opened.extractall(scratch, filter="data")
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise FetchError(
            f"{archive} is damaged or unsafe ({error}): remove it and fetch again."
        ) from None
    for path in [path for path in scratch.rglob("*") if path.is_file() and not path.is_symlink()]:
        for pattern, place in source.layout:
            if match := re.fullmatch(pattern, path.relative_to(scratch).as_posix()):
                target = folder / match.expand(place)
                target.parent.mkdir(parents=True, exist_ok=True)
                path.rename(target)
    if source.checksum:
        return ""
    return f" {archive.name} has no published checksum; its sha256 is {pooch.file_hash(archive)}."


def _collect(listing: Path, folder: Path) -> str:
    """Download the photographs of a list to ``val/<wnid>/`` below a folder, except those that are
    gone; a sentence on them. The originals are kept beside the list.

    The list is that of the NIPS 2017 adversarial competition, whose own script does the same: the
    part between the relative corners (x1, y1) and (x2, y2), scaled to 299 x 299 by a Lanczos filter
    and written as PNG. Its labels are those of a network with 1001 outputs, of which 0 is no class:
    ImageNet's index is one less.
    """
    from PIL import Image

    with listing.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))

    def missing(row: dict[str, str]) -> str:
        original = listing.with_name(listing.stem) / row["ImageId"]
        try:
            download(row["URL"], "", original, bar=False)
            with decoding(original), Image.open(original) as opened:
                image = opened.convert("RGB")
        except (GoneError, ImageError) as error:
            return f"{row['ImageId']}: {error}\n"
        corners = zip(("x1", "y1", "x2", "y2"), 2 * image.size)
        box = tuple(int(float(row[corner]) * side) for corner, side in corners)
        place = folder / "val" / imagenet_wnids()[int(row["TrueLabel"]) - 1]
        place.mkdir(parents=True, exist_ok=True)
        image = image.crop(box).resize((299, 299), Image.Resampling.LANCZOS)
        image.save(place / f"{row['ImageId']}.png")
        return ""

    left_out = ""
    with progress("photographs", len(rows), "image") as tick, ThreadPoolExecutor(4) as pool:
        for reason in pool.map(missing, rows):
            left_out += reason
            tick(1)
    count = left_out.count("\n")
    if count == len(rows):
        raise FetchError(f"no photograph of {listing} is to be had: {left_out.splitlines()[0]}")
    (folder / "attribution.csv").write_bytes(listing.read_bytes())
    (folder / LEFT_OUT).write_text(left_out, encoding="utf-8")
    return (
        f" {count} of {len(rows)} photographs are gone ({LEFT_OUT} says why); nobody publishes "
        "checksums of the others."
    )


# --- What is there --------------------------------------------------------------------------------


def overview() -> list[str]:
    """Lines on every known set: what it shows, its licence, whether it is there, how to get it."""
    root = data_folder().absolute()
    lines = [f"photographs, looked for in {root}:"]
    for source in CATALOGUE.values():
        lines += ["", f"{source.name}: {source.what}"]
        for split, place in source.folders.items():
            state = "there" if split in source.there(root) else "not there"
            whole = f"{source.counts[split]:,} images when whole"
            lines.append(f"  {split}: {state}, {root / place} ({whole})")
        how = source.by_hand or f"blurpaper data fetch {source.name} ({source.size})"
        lines += [f"  how to get it: {how}", f"  licence: {source.licence}"]
    return lines


def found() -> list[str]:
    """Names of the sets of which something is there."""
    return [name for name, source in CATALOGUE.items() if source.there(data_folder())]


def verify(name: str) -> list[str]:
    """One sentence for each problem of a set: a missing split, missing images, a broken file.

    Raises:
        UserError: for an unknown name.
    """
    source, root = known_set(name), data_folder().absolute()
    found = []
    for split, place in source.folders.items():
        folder = root / place
        if not folder.is_dir():
            found.append(f"{name} has no {split} images at {folder}: it is {source.how_to_get}.")
            continue
        files, left_out = list(image_files(folder)), root / name / LEFT_OUT
        gone = left_out.read_text(encoding="utf-8").count("\n") if left_out.is_file() else 0
        if len(files) != source.counts[split] - gone:
            found.append(
                f"{folder} holds {len(files):,} images, expected {source.counts[split] - gone:,}: "
                f"move it away and fetch {name} again."
            )
        found += problems(read_image, files, f"verifying {name}/{split}").values()
    return found
