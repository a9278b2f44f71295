"""Compute once, keep with a stamp, load afterwards.

An artifact is a folder ``<kind>/<name>-<key>`` with one data file and ``stamp.json``. The key is a
hash of what the artifact is made from: its inputs (settings, keys of other artifacts, fingerprints
of data), the code that makes it, and the versions of the libraries that this code uses. It is written under a temporary name and renamed when it is
whole; a lock of the operating system keeps a second writer out; a checksum tells a damaged file,
which is then computed again.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Generic, TypeVar

from blurpaper.runs import fingerprint
from blurpaper.runs.files import PACKAGE, StoreError, explained, flush, store_folder

T = TypeVar("T")

_UNFINISHED = ".tmp"
"""How the name of a folder ends while an artifact is written to it."""


@dataclass(frozen=True)
class Codec(Generic[T]):
    """How values of one type are written to a file and read back."""

    suffix: str
    save: Callable[[T, Path], None]
    load: Callable[[Path], T]


def _save_tensors(tensors: Mapping[str, Any], path: Path) -> None:
    from safetensors.torch import save_file

    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)


def _load_tensors(path: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(path)


TENSORS: Codec[dict[str, Any]] = Codec(".safetensors", _save_tensors, _load_tensors)


@dataclass(frozen=True)
class Recipe(Generic[T]):
    """What an artifact is and what it is made from.

    Attributes:
        kind: sort of artifact, the folder it lies in.
        name: for people, in paths and progress bars.
        inputs: everything its value depends on, as JSON can say it.
        modules: where the code that makes it lives; what they use of the library counts too.
        codec: how it is kept.
        about: facts for the stamp that do not change the value.
    """

    kind: str
    name: str
    inputs: Mapping[str, Any]
    modules: Sequence[str]
    codec: Codec[T]
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Sixteen hexadecimal digits that change with the inputs, the code, or the versions of the
        libraries that it computes with.
        """
        return _key(json.dumps(self.inputs, sort_keys=True), tuple(self.modules))


@lru_cache(maxsize=4096)
def _key(inputs: str, modules: tuple[str, ...]) -> str:
    libraries = json.dumps(fingerprint.versions(modules), sort_keys=True)
    parts = f"{inputs}\n{fingerprint.fingerprint(modules)}\n{libraries}"
    return hashlib.sha256(parts.encode()).hexdigest()[:16]


class Store:
    """Artifacts in a folder: ``$BLURPAPER_STORE``, else the user's cache folder.

    >>> import tempfile
    >>> store = Store(tempfile.mkdtemp())
    """

    def __init__(self, root: str | Path | None = None) -> None:
        self.root = Path(root) if root else store_folder()
        self._used: dict[Path, Recipe] = {}

    def path(self, recipe: Recipe) -> Path:
        """The folder an artifact lies in, or would."""
        return self.root / recipe.kind / f"{_safe(recipe.name)}-{recipe.key}"

    def scratch(self, recipe: Recipe) -> Path:
        """The folder for what a run that is killed wants to find again, while the artifact is being
        made.
        """
        return self.path(recipe).with_name(self.path(recipe).name + ".partial")

    def has(self, recipe: Recipe) -> bool:
        return (self.path(recipe) / "stamp.json").is_file()

    def get(self, recipe: Recipe[T], make: Callable[[Path], T]) -> T:
        """The artifact, loaded if it is there and whole, else made, kept and returned.

        Args:
            make: called with a folder for what it wants to find again if it is killed
                (checkpoints), gone afterwards.
        """
        folder, scratch = self.path(recipe), self.scratch(recipe)
        self.note(recipe)
        if (value := self._load(recipe, folder, alone=False)) is not None:
            # Of a run that was killed when it had just kept the artifact.
            shutil.rmtree(scratch, ignore_errors=True)
            return value
        with self._lock(folder):
            if (value := self._load(recipe, folder)) is not None:
                return value
            with explained(scratch):
                scratch.mkdir(parents=True, exist_ok=True)
            started = time.monotonic()
            value = make(scratch)
            self._keep(recipe, folder, value, time.monotonic() - started)
            shutil.rmtree(scratch, ignore_errors=True)
        return value

    def names(self) -> list[str]:
        """All artifacts kept, as ``kind/name-key``."""
        found = (stamp.parent for stamp in self.root.glob("*/*/stamp.json"))
        return sorted(
            folder.relative_to(self.root).as_posix()
            for folder in found
            if folder.suffix != _UNFINISHED
        )

    def stamp(self, recipe: Recipe) -> dict[str, Any]:
        """What is known of an artifact's making: commit, versions, device, seconds, inputs."""
        return json.loads((self.path(recipe) / "stamp.json").read_text(encoding="utf-8"))

    def note(self, recipe: Recipe) -> None:
        """Count an artifact among those used: something was made from it, though it need not be
        loaded now.
        """
        self._used[self.path(recipe)] = recipe

    def used(self) -> list[Recipe]:
        """All artifacts kept that this store has given, or that what it gave was made from."""
        return [recipe for recipe in self._used.values() if self.has(recipe)]

    def _load(self, recipe: Recipe[T], folder: Path, alone: bool = True) -> T | None:
        """The artifact if it is there and whole; a damaged one is told of and removed, if its lock
        is held (``alone``).
        """
        if not self.has(recipe):
            return None
        data = folder / f"data{recipe.codec.suffix}"
        try:
            expected = self.stamp(recipe)["sha256"]
            if data.is_file() and sha256_of(data) == expected:
                return recipe.codec.load(data)
        except (
            ValueError,
            KeyError,
            FileNotFoundError,
        ):  # the last if another run found it damaged and removed it
            pass
        except OSError as error:
            raise StoreError(f"cannot read {data}: {error.strerror or error}.") from None
        if alone:
            warnings.warn(
                f"{data} is damaged (its checksum differs): it is computed again.", stacklevel=3
            )
            shutil.rmtree(folder, ignore_errors=True)
        return None

    def _keep(self, recipe: Recipe[T], folder: Path, value: T, seconds: float) -> None:
        """Write an artifact under a temporary name and rename it; only for who holds its lock."""
        temporary = folder.with_name(f"{folder.name}.{os.getpid()}{_UNFINISHED}")
        try:
            with explained(folder):
                # Of a run that was killed.
                for rest in folder.parent.glob(f"{glob.escape(folder.name)}.*{_UNFINISHED}"):
                    shutil.rmtree(rest, ignore_errors=True)
                temporary.mkdir(parents=True)
                data = temporary / f"data{recipe.codec.suffix}"
                recipe.codec.save(value, data)
                stamp = {
                    "kind": recipe.kind,
                    "name": recipe.name,
                    "key": recipe.key,
                    "inputs": dict(recipe.inputs),
                    "parents": self._parents(recipe),
                    "sha256": sha256_of(data),
                    "seconds": round(seconds, 3),
                    "made": datetime.now(UTC).isoformat(timespec="seconds"),
                    **recipe.about,
                    **surroundings(),
                }
                (temporary / "stamp.json").write_text(
                    json.dumps(stamp, indent=1, sort_keys=True), encoding="utf-8"
                )
                for file in (data, temporary / "stamp.json"):
                    flush(file)
                shutil.rmtree(folder, ignore_errors=True)
                temporary.replace(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _parents(self, recipe: Recipe) -> list[str]:
        """Keys of the artifacts that an artifact was made from: those used here whose keys are
        among its inputs.
        """
        keys = {path.name.rpartition("-")[2] for path in self._used} - {recipe.key}
        return sorted(keys & set(_strings(recipe.inputs)))

    @contextmanager
    def _lock(self, folder: Path) -> Iterator[None]:
        from filelock import FileLock, Timeout

        with explained(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(folder.with_name(folder.name + ".lock"))
            try:
                lock.acquire(timeout=1)
            except Timeout:
                print(f"another process is making {folder.name}: waiting for it", file=sys.stderr)
                lock.acquire()
        try:
            yield
        finally:
            lock.release()


def sha256_of(path: Path) -> str:
    """Checksum of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _strings(value: object) -> Iterator[str]:
    """All strings of some inputs, at any depth."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for one in value:
            yield from _strings(one)
    elif isinstance(value, str):
        yield value


def _safe(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_.@+" else "_" for letter in name)


@lru_cache(maxsize=1)
def surroundings() -> dict[str, Any]:
    """Commit of the library, whether it was changed since, versions and device: where a number was
    made.
    """
    import platform

    import torch

    device = (
        torch.cuda.get_device_name()
        if torch.cuda.is_available()
        else f"cpu, {torch.get_num_threads()} threads"
    )
    libraries = (
        "torch",
        "torchvision",
        "numpy",
        "numba",
        "scipy",
        "opencv-python-headless",
        "timm",
    )
    return {
        "commit": _git("rev-parse", "HEAD") or "unknown",
        "dirty": bool(_git("status", "--porcelain", "--", ".")),
        "python": platform.python_version(),
        "versions": {name: fingerprint.version_of(name) for name in libraries},
        "device": device,
    }


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(PACKAGE), *arguments],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
