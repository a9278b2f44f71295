"""Compute once, keep with a stamp, load afterwards.

An artifact is a folder ``<kind>/<name>-<key>`` with one data file and ``stamp.json``. The key is a
hash of what the artifact is made from: its inputs (settings, keys of other artifacts, fingerprints
of data), the code that computes it, and the versions of the libraries that this code uses. It is
written under a temporary name and renamed when it is whole; a lock of the operating system keeps a
second writer out; a checksum reveals a damaged file, which is then computed again.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from blurpaper.runs import fingerprint
from blurpaper.runs.files import PACKAGE, StoreError, explained, flush, sha256_of, store_folder

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
class Artifact(Generic[T]):
    """Something to be computed once: its name, its inputs and the function that computes it.

    Attributes:
        kind: sort of artifact, the folder it lies in.
        name: for people, in paths and progress bars.
        inputs: everything that its value depends on, as JSON can write it.
        compute: a function of the library. Its module, with everything that this uses of the
            library, is the code in the key; arguments bound by :func:`functools.partial` must
            follow from the inputs.
        codec: how it is written to a file.
        about: facts for the stamp that do not change the value.
        resumable: ``compute`` takes a folder, in which a run that was killed finds its checkpoint.
    """

    kind: str
    name: str
    inputs: Mapping[str, Any]
    compute: Callable[..., T]
    codec: Codec[T] = TENSORS
    about: Mapping[str, Any] = field(default_factory=dict)
    resumable: bool = False

    @property
    def function(self) -> Callable[..., T]:
        """The function that computes it, without its bound arguments."""
        # A partial of a partial is one partial.
        return self.compute.func if isinstance(self.compute, partial) else self.compute

    @property
    def key(self) -> str:
        """Sixteen hexadecimal digits that change with the inputs, the code, or the versions of the
        libraries that it computes with.

        Raises:
            ValueError: if its function lies outside the library, where no key sees its code.
        """
        module = self.function.__module__
        if module.partition(".")[0] != PACKAGE.name:
            raise ValueError(f"an artifact's function is one of {PACKAGE.name}. Got {module}'s.")
        return _key(json.dumps(self.inputs, sort_keys=True), module)


@lru_cache(maxsize=4096)
def _key(inputs: str, module: str) -> str:
    libraries = json.dumps(fingerprint.versions([module]), sort_keys=True)
    parts = f"{inputs}\n{fingerprint.fingerprint([module])}\n{libraries}"
    return hashlib.sha256(parts.encode()).hexdigest()[:16]


class NotKeptError(StoreError):
    """An artifact that a store does not have and must not compute."""


class Store:
    """Artifacts in a folder: ``$BLURPAPER_STORE``, else the user's cache folder.

    Args:
        computes: whether to compute what is not there; otherwise a :class:`NotKeptError` is raised.

    >>> import tempfile
    >>> store = Store(tempfile.mkdtemp())
    """

    def __init__(self, root: str | Path | None = None, computes: bool = True) -> None:
        self.root, self.computes = Path(root) if root else store_folder(), computes
        self._used: dict[Path, Artifact] = {}

    def path(self, artifact: Artifact) -> Path:
        """The folder an artifact lies in, or would."""
        name = re.sub(r"[^\w.@+-]", "_", artifact.name)
        return self.root / artifact.kind / f"{name}-{artifact.key}"

    def scratch(self, artifact: Artifact) -> Path:
        """The folder for checkpoints while the artifact is being computed."""
        return self.path(artifact).with_name(self.path(artifact).name + ".partial")

    def has(self, artifact: Artifact) -> bool:
        return (self.path(artifact) / "stamp.json").is_file()

    def artifact(
        self,
        kind: str,
        name: str,
        inputs: Mapping[str, Any],
        compute: Callable[..., T],
        codec: Codec[T] = TENSORS,
        **about: Any,  # noqa: ANN401 (facts for the stamp)
    ) -> T:
        """Compute or load an :class:`Artifact`; ``about`` are facts for its stamp."""
        return self.get(Artifact(kind, name, inputs, compute, codec, about))

    def sharded(
        self,
        kind: str,
        name: str,
        inputs: Mapping[str, Any],
        compute: Callable[[range, str], dict[str, Any]],
        over: Iterable[range],
        conditions: Sequence[str] = ("",),
        tick: Callable[[int], object] = lambda done: None,
        **about: Any,  # noqa: ANN401 (facts for the stamp)
    ) -> dict[str, dict[str, Any]]:
        """Compute or load tensors of a set of images in parts, each an artifact.

        Args:
            compute: takes the numbers of some images and a condition, and gives tensors by name,
                whose first dimension is the images'.
            over: the numbers of each part, which is computed under all conditions before the next.
            tick: called with the number of images done.

        Returns:
            condition -> name -> the tensors of all parts joined.
        """
        parts: dict[str, list[dict[str, Any]]] = {condition: [] for condition in conditions}
        for numbers in over:
            for condition, found in parts.items():
                own = {"numbers": [numbers.start, numbers.stop], "condition": condition}
                named = ".".join(filter(None, (name, condition, str(numbers.start))))
                bound = partial(compute, numbers, condition)
                found.append(self.artifact(kind, named, {**inputs, **own}, bound, **about))
                tick(len(numbers))
        return {condition: _joined(found) for condition, found in parts.items()}

    def get(self, artifact: Artifact[T]) -> T:
        """The artifact, loaded if it is there and whole, else computed, kept and returned.

        A damaged one is reported and made anew.
        """
        folder, scratch = self.path(artifact), self.scratch(artifact)
        self.note(artifact)
        if (value := self._load(artifact)) is not None:
            # Left by a run that was killed when it had just kept the artifact.
            shutil.rmtree(scratch, ignore_errors=True)
            return value
        if not self.computes:
            raise NotKeptError(f"{folder.name} is not in the store at {self.root}.")
        with self._lock(folder):
            if (value := self._load(artifact)) is not None:
                return value
            if self.has(artifact):
                data = folder / f"data{artifact.codec.suffix}"
                said = f"{data} is damaged (its checksum differs): it is computed again."
                warnings.warn(said, stacklevel=2)
            with explained(scratch):
                scratch.mkdir(parents=True, exist_ok=True)
            started = time.monotonic()
            value = artifact.compute(scratch) if artifact.resumable else artifact.compute()
            self._keep(artifact, folder, value, time.monotonic() - started)
            shutil.rmtree(scratch, ignore_errors=True)
        return value

    def names(self) -> list[str]:
        """All artifacts kept, as ``kind/name-key``."""
        folders = (stamp.parent for stamp in self.root.glob("*/*/stamp.json"))
        whole = (folder for folder in folders if folder.suffix != _UNFINISHED)
        return sorted(folder.relative_to(self.root).as_posix() for folder in whole)

    def stamp(self, artifact: Artifact) -> dict[str, Any]:
        """Where an artifact comes from: commit, versions, device, seconds, inputs."""
        return json.loads((self.path(artifact) / "stamp.json").read_text(encoding="utf-8"))

    def note(self, artifact: Artifact) -> None:
        """Count an artifact among those used, though it need not be loaded now."""
        # Without the arguments bound to its function, such as networks and images, to free them.
        self._used[self.path(artifact)] = replace(artifact, compute=artifact.function)

    def seconds(self, kind: str) -> float:
        """Seconds that the artifacts of a kind among those used took to compute."""
        return sum(self.stamp(one)["seconds"] for one in self.used() if one.kind == kind)

    def used(self) -> list[Artifact]:
        """All artifacts that were loaded, computed or noted here and are kept."""
        return [artifact for artifact in self._used.values() if self.has(artifact)]

    def _load(self, artifact: Artifact[T]) -> T | None:
        """The artifact if it is there and whole."""
        data = self.path(artifact) / f"data{artifact.codec.suffix}"
        try:
            expected = self.stamp(artifact)["sha256"]
            if data.is_file() and sha256_of(data) == expected:
                return artifact.codec.load(data)
        except (ValueError, KeyError, FileNotFoundError, NotADirectoryError):
            pass
        except OSError as error:
            raise StoreError(f"cannot read {data}: {error.strerror or error}.") from None
        return None

    def _keep(self, artifact: Artifact[T], folder: Path, value: T, seconds: float) -> None:
        """Write an artifact under a temporary name and rename it, while its lock is held."""
        temporary = folder.with_name(f"{folder.name}.{os.getpid()}{_UNFINISHED}")
        try:
            with explained(folder):
                # Left by a run that was killed.
                for rest in folder.parent.glob(f"{glob.escape(folder.name)}.*{_UNFINISHED}"):
                    shutil.rmtree(rest, ignore_errors=True)
                temporary.mkdir(parents=True)
                data, stamp = temporary / f"data{artifact.codec.suffix}", temporary / "stamp.json"
                artifact.codec.save(value, data)
                facts = {
                    "kind": artifact.kind,
                    "name": artifact.name,
                    "key": artifact.key,
                    "inputs": dict(artifact.inputs),
                    "parents": self._parents(artifact),
                    "sha256": sha256_of(data),
                    "seconds": round(seconds, 3),
                    "made": datetime.now(UTC).isoformat(timespec="seconds"),
                    **artifact.about,
                    **surroundings(),
                }
                stamp.write_text(json.dumps(facts, indent=1, sort_keys=True), encoding="utf-8")
                flush(data)
                flush(stamp)
                shutil.rmtree(folder, ignore_errors=True)
                temporary.replace(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _parents(self, artifact: Artifact) -> list[str]:
        """Keys of the artifacts that an artifact was made from: those used here whose keys are
        among its inputs.
        """
        inputs = json.dumps(artifact.inputs)
        keys = {path.name.rpartition("-")[2] for path in self._used} - {artifact.key}
        return sorted(key for key in keys if f'"{key}"' in inputs)

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


def _joined(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    import torch

    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


@lru_cache(maxsize=1)
def surroundings() -> dict[str, Any]:
    """Where a number is computed: commit of the library, whether it was changed since, versions of
    Python and of the installed :data:`fingerprint.LIBRARIES`, device.
    """
    import platform

    import torch

    gpu = torch.cuda.is_available()
    device = torch.cuda.get_device_name() if gpu else f"cpu, {torch.get_num_threads()} threads"
    versions = {name: fingerprint.version_of(name) for name in fingerprint.LIBRARIES.values()}
    return {
        "commit": _git("rev-parse", "HEAD") or "unknown",
        "dirty": bool(_git("status", "--porcelain", "--", ".")),
        "python": platform.python_version(),
        "versions": {name: version for name, version in versions.items() if version},
        "device": device,
    }


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(PACKAGE), *arguments]
    try:
        said = subprocess.check_output(command, stderr=subprocess.DEVNULL, text=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return ""
    return said.strip()
