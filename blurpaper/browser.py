"""Networks in the book: what the page with a blur slider needs to show the networks an image of the
reader's own.

A runtime for ONNX that runs in browsers, from npm's registry by its checksum, and the two networks,
half as large as usual. They lie below the book's static files, so that nothing is loaded from
elsewhere and no image leaves the browser.
"""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import numpy as np

from blurpaper import exhibits, export, trained
from blurpaper.data import download
from blurpaper.kernels import CANONICAL, SHARP, psf
from blurpaper.networks import module_of
from blurpaper.networks.imagenet import imagenet_names
from blurpaper.play import show
from blurpaper.play.blurs import conditions
from blurpaper.play.seen import SCALE
from blurpaper.store import Codec, Recipe, Store, default_root
from blurpaper.writing import written

RUNTIME = "https://registry.npmjs.org/onnxruntime-web/-/onnxruntime-web-1.23.2.tgz"
"""The runtime of the ONNX project (Microsoft, MIT), 26 MB."""
CHECKSUM = (
    "sha512:4f4f4952d327f8264b937985c2a887d258107fee12efea181c7b64eae85a6000"
    "0923de5b4dc2a2e5b38e658c0e4577d2fd12d90a30c311719622e3820059448e"
)
"""As npm's registry publishes it."""
FILES = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
"""What is needed of it."""
FOLDER = "_static/browser"
PAGE = "notebooks/15_play.html"


def prepare() -> None:
    """See that all is there which has to be installed or downloaded, before anything that takes
    long.

    Raises:
        RuntimeError: if the package onnx is missing.
        FetchError: if the runtime cannot be had.
    """
    export.need_onnx()
    runtime()


def runtime() -> Path:
    """A folder with the files of the runtime, downloaded once.

    Raises:
        FetchError: if it cannot be had, or is not what its checksum says.
    """
    cache = default_root() / "browser"
    folder = cache / Path(RUNTIME).stem
    if not all((folder / name).is_file() for name in FILES):
        archive = download.download(RUNTIME, CHECKSUM, cache / Path(RUNTIME).name)
        with tarfile.open(archive) as content:
            for name in FILES:
                member = content.extractfile(f"package/dist/{name}")
                if member is None:
                    raise download.FetchError(f"{archive} has no dist/{name}.")
                with member, written(folder / name) as temporary, temporary.open("wb") as file:
                    shutil.copyfileobj(member, file)
    return folder


def place(html: Path, store: Store) -> None:
    """Put runtime, networks and settings below a built book, and let its page know.

    Raises:
        RuntimeError: if the book has no such page, or the package onnx is missing.
        FetchError: if the runtime cannot be had.
    """
    page = html / PAGE
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    mark = f'id="{show.NOTE}" data-browser=""'
    if mark not in text:
        raise RuntimeError(
            f"{page} has no place for images of the reader's own; make the chapter again: blurpaper chapter 15."
        )
    prepare()
    folder = html / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copy(runtime() / name, folder / name)
    files = {}
    for settings, spec in exhibits.on_photographs():
        files[spec.mix] = f"{spec.mix}.onnx"
        (folder / files[spec.mix]).write_bytes(_exported(spec, settings, store))
    protocol = settings.protocol
    about = {
        "canonical": protocol.canonical,
        "pixels": protocol.pixels(SCALE),
        "networks": files,
        "classes": imagenet_names(),
        "psfs": {
            name: kernels_of(name, protocol.canonical) for name in conditions() if name != SHARP
        },
    }
    (folder / "settings.json").write_text(
        json.dumps(about, separators=(",", ":"), ensure_ascii=False), encoding="utf-8"
    )
    script = '<script type="module" src="../_static/play-own.mjs" data-wasm></script>'
    text = text.replace(mark, f'id="{show.NOTE}" data-browser="../{FOLDER}"', 1).replace(
        "</body>", f"{script}\n</body>", 1
    )
    page.write_text(text, encoding="utf-8", newline="\n")


def kernels_of(name: str, canonical: int) -> list[dict[str, Any]]:
    """A PSF as kernels to apply one after another: a column and a row where that is the same and
    less work.
    """
    kernel = psf(name, canonical / CANONICAL).astype(np.float64)
    column, row = kernel.sum(axis=1, keepdims=True), kernel.sum(axis=0, keepdims=True)
    parts = [column, row] if np.abs(column * row - kernel).max() < 1e-7 else [kernel]
    return [
        {
            "height": part.shape[0],
            "width": part.shape[1],
            "values": [float(f"{value:.7g}") for value in part.flat],
        }
        for part in parts
        if part.size > 1
    ]


_BYTES: Codec[bytes] = Codec(
    ".onnx", lambda content, path: path.write_bytes(content) and None, Path.read_bytes
)


def _exported(spec: exhibits.Named, settings: Any, store: Store) -> bytes:  # noqa: ANN401 (a profile)
    """A network as a file of ONNX in half precision, made once."""
    inputs = {"network": trained.identity_of(spec, settings, store), "half": True}
    recipe = Recipe("onnx", str(spec), inputs, ["blurpaper.export", module_of(spec.model)], _BYTES)

    def make(scratch: Path) -> bytes:
        export.export(
            trained.network(spec, settings, store), spec, scratch / "network.onnx", half=True
        )
        return (scratch / "network.onnx").read_bytes()

    return store.get(recipe, make)
