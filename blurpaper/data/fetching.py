"""Downloads: from the addresses of `sources` into the data folder, in the layout that `photos`
reads.

A set is arranged under a temporary name and renamed when it is whole, so that a fetch that is
stopped, by whatever, leaves no folder that looks like the set. What was downloaded stays and is not
asked for again.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blurpaper.data.sources import ARCHIVES, Archive, Source, named
from blurpaper.errors import UserError
from blurpaper.folders import data_folder
from blurpaper.progress import progress

if TYPE_CHECKING:
    from requests import PreparedRequest, Response, Session

TRIES = 10
"""How often a download that is cut off is taken up again at once, as long as each try brings more
of it.
"""
TIMEOUT = 30
"""Seconds without an answer after which a server counts as gone."""
BLOCK = 2**16


class FetchError(UserError):
    """A set that cannot be downloaded or unpacked, in one sentence.

    >>> import tempfile
    >>> from unittest.mock import patch
    >>> with patch.dict("os.environ", BLURPAPER_DATA=tempfile.mkdtemp()):
    ...     try:
    ...         fetch("imagenet")
    ...     except FetchError as error:
    ...         print(str(error).partition(":")[0])
    imagenet is ILSVRC-2012, a thousand classes; it cannot be fetched
    """


def fetch(name: str) -> str:
    """Download a set of photographs into the data folder, unless it is there; says in a sentence
    what was done.

    Raises:
        UserError: for an unknown name.
        FetchError: if it cannot be had, saying why and what to do.

    >>> import tempfile
    >>> from unittest.mock import patch
    >>> with patch.dict("os.environ", BLURPAPER_DATA=tempfile.mkdtemp()):
    ...     for split in ("train", "val"):
    ...         (data_folder() / "imagenette" / split).mkdir(parents=True)
    ...     fetch("imagenette").partition(",")[0]
    'imagenette is there already'
    """
    from blurpaper.data import listing, unpacking

    source, root = named(name), data_folder().absolute()
    target = root / name
    if source.there(root) == list(source.folders):
        return f"{name} is there already, in {target}; it is left alone."
    if source.archive is None:
        raise FetchError(f"{name} is {source.how_to_get} below {target}.")
    with _explained(root), _alone(root / ARCHIVES, name), session() as web:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise FetchError(
                f"{target} is in the way: it is not the whole of {name}; move or remove it and fetch again."
            )
        archive = download(source.archive, root / ARCHIVES, web)
        partial = root / f".{name}.partial"
        note = unverified(source, archive)
        if source.listing:
            note += listing.collect(archive, partial, web)
        else:
            shutil.rmtree(partial, ignore_errors=True)
            try:
                unpacking.unpack(archive, partial, source)
            except BaseException:
                shutil.rmtree(partial, ignore_errors=True)
                raise
        if target.exists():
            target.rmdir()
        partial.rename(target)
    return f"{name} is in {target}.{note} {archive} may be removed."


def session() -> Session:
    """Connections by https alone, wherever a server sends them on to; by http to this machine only.

    >>> sorted(session().adapters)
    ['http://127.0.0.1:', 'https://']
    """
    import requests
    from urllib3.util import parse_url

    from blurpaper import __version__

    class Here(requests.adapters.HTTPAdapter):
        def send(self, request: PreparedRequest, *arguments: Any, **options: Any) -> Response:  # noqa: ANN401
            if parse_url(request.url).host != "127.0.0.1":  # http://127.0.0.1:80@elsewhere
                raise requests.exceptions.InvalidSchema(f"no https address: {request.url}")
            return super().send(request, *arguments, **options)

    made = requests.Session()
    del made.adapters["http://"]
    made.mount("http://127.0.0.1:", Here())
    made.headers.update({"User-Agent": f"blurpaper/{__version__}", "Accept-Encoding": "identity"})
    return made


def download(archive: Archive, folder: Path, web: Session) -> Path:
    """The path of an archive in a folder: as it lies there, else downloaded, going on from where it
    was cut off.

    Raises:
        FetchError: if it cannot be had, or is not what its checksum says; then it is removed.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "cats.zip").write_bytes(b"put here by hand")
    >>> checksum = "sha256:" + hashlib.sha256(b"put here by hand").hexdigest()
    >>> archive = Archive("https://example.org/cats.zip", "cats.zip", checksum, "16 B")
    >>> download(archive, folder, session()).name
    'cats.zip'
    """
    target = folder / archive.file
    if not target.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f"{target.name}.part")
        _receive(archive.url, part, target, web)
        part.replace(target)
    if problem := wrong_checksum(archive, target):
        target.unlink()
        raise FetchError(
            f"{problem}; it was removed: fetch again, or place the right file there by hand."
        )
    return target


def unverified(source: Source, archive: Path) -> str:
    """A sentence on what no checksum vouches for, empty if all of a set is checked.

    >>> unverified(named("imagenette"), Path("imagenette2-320.tgz"))
    ''
    >>> unverified(named("nips2017-dev"), Path("dev_dataset.csv"))
    ' Nobody publishes checksums of its photographs one by one: that they are the right ones was not verified.'
    """
    if source.listing:
        return " Nobody publishes checksums of its photographs one by one: that they are the right ones was not verified."
    if source.archive.checksum:
        return ""
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    return f" Nobody publishes a checksum of {archive.name}: that it is the right one was not verified; its sha256 is {found}."


def wrong_checksum(archive: Archive, path: Path) -> str:
    """What is wrong with a file by its checksum, without a full stop; empty if nothing is.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "cats.zip"
    >>> _ = path.write_bytes(b"whole")
    >>> archive = Archive("", path.name, "sha256:" + hashlib.sha256(b"whole").hexdigest(), "5 B")
    >>> wrong_checksum(archive, path)
    ''
    >>> _ = path.write_bytes(b"cut")
    >>> wrong_checksum(archive, path).removeprefix(str(path)).partition(":")[0]
    ' is not the file it should be'
    """
    kind, _, expected = archive.checksum.partition(":")
    if not expected:
        return ""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, kind).hexdigest()
    return (
        ""
        if found == expected
        else f"{path} is not the file it should be: its {kind} is {found}, expected {expected}"
    )


def why(error: Exception) -> str:
    """An error of a connection in a few words.

    >>> import requests
    >>> why(requests.Timeout()), why(requests.ConnectionError())
    ('no answer within 30 seconds', 'no connection')
    """
    import requests

    if isinstance(error, requests.HTTPError):
        return f"it answers {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.exceptions.InvalidSchema):
        return "it is no https address, or sends on to one that is not"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not accepted"
    if isinstance(error, requests.Timeout):
        return f"no answer within {TIMEOUT} seconds"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection was cut off"
    return "no connection" if isinstance(error, requests.ConnectionError) else str(error)


def _receive(url: str, part: Path, target: Path, web: Session) -> None:
    import requests

    reason = ""
    for _ in range(TRIES):
        before = _size(part)
        try:
            headers = {"Range": f"bytes={before}-"} if before else {}
            with web.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
                if response.status_code == requests.codes.requested_range_not_satisfiable:
                    if response.headers.get("Content-Range") == f"bytes */{before}":
                        return
                    part.unlink()
                    continue
                response.raise_for_status()
                total = _save(response, part, before)
            if total in (None, _size(part)):
                return
            reason = "the connection was cut off"
        except requests.RequestException as error:
            reason = why(error)
        if _size(part) <= before:
            break
    kept = f"; {_size(part):,} bytes are kept" if _size(part) else ""
    raise FetchError(
        f"cannot download {url} ({reason}{kept}): check the network and give the same command again, or place the file by hand"
        f" at {target}, where it is used without downloading."
    )


def _save(response: Response, part: Path, before: int) -> int | None:
    """Append to a part, or begin anew where the server sends the whole; gives the bytes the file
    should have in the end.
    """
    goes_on = response.status_code == 206 and response.headers.get("Content-Range", "").startswith(
        f"bytes {before}-"
    )
    start = before if goes_on else 0
    length = response.headers.get("Content-Length")
    total = start + int(length) if length else None
    with (
        part.open("ab" if goes_on else "wb") as file,
        progress(f"downloading {part.stem}", total, "B") as tick,
    ):
        tick(start)
        for block in response.iter_content(BLOCK):
            file.write(block)
            tick(len(block))
    return total


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


@contextmanager
def _alone(folder: Path, name: str) -> Iterator[None]:
    """Keep a second fetch of the same set out."""
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f".{name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise FetchError(f"another fetch of {name} is under way: wait for it.") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _explained(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        problem = f"cannot write below {root}: {error.strerror or error}"
        raise FetchError(
            f"{problem}; free some space or name another folder by BLURPAPER_DATA."
        ) from error
