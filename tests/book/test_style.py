"""The colours of figures can be told apart by everybody, on light pages and dark ones, and in print
by another sign.
"""

import itertools
import re

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from blurpaper.book import build, style

THEMES = {"light": 0, "dark": 1}
# Machado, Oliveira and Fernandes, "A physiologically-based model for simulation of color vision
# deficiency" (2009), at full severity; they act on linear RGB.
SIGHT = {
    "full": np.eye(3),
    "no long cones (protanopia)": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "no middle cones (deuteranopia)": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "no short cones (tritanopia)": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
FAMILIES = {
    "networks": (style.NETWORK_COLOURS, style.NETWORK_MARKS),
    "scales": (style.SCALE_COLOURS, style.SCALE_MARKS),
}


def linear(colour: str) -> np.ndarray:
    """``#rrggbb`` as linear RGB from 0 to 1 (sRGB's transfer function)."""
    value = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def lab(colour: str, sight: str) -> np.ndarray:
    seen = np.clip(linear(colour) @ np.transpose(SIGHT[sight]), 0, 1)
    return rgb2lab(np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055))


def contrast(one: str, other: str) -> float:
    """WCAG's ratio of luminances."""
    darker, brighter = sorted(
        float(linear(colour) @ [0.2126, 0.7152, 0.0722]) for colour in (one, other)
    )
    return (brighter + 0.05) / (darker + 0.05)


def test_the_simulation_takes_reds_for_greens_where_the_colour_blind_do() -> None:
    """A brown and an olive of like lightness come near one another without long or middle cones,
    not without short ones.
    """

    def apart(sight: str) -> float:
        return float(deltaE_ciede2000(lab("#a07030", sight), lab("#708a30", sight)))

    full, long, middle, short = map(apart, SIGHT)
    assert max(long, middle) < full / 2 < short
    for sight in SIGHT:
        assert lab("#ffffff", sight) == pytest.approx([100, 0, 0], abs=0.1)


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize("theme", THEMES)
def test_any_two_colours_can_be_told_apart(theme, sight) -> None:
    colours = {name: both[THEMES[theme]] for name, both in style.PALETTE.items()}
    for one, other in itertools.combinations(colours, 2):
        distance = deltaE_ciede2000(lab(colours[one], sight), lab(colours[other], sight))
        assert distance >= 10, f"{one} and {other} are {distance:.1f} apart"


@pytest.mark.parametrize("theme", THEMES)
def test_every_colour_stands_out_from_its_page(theme) -> None:
    page = style.PAGE["page"][THEMES[theme]]
    for name, both in (style.PALETTE | {"rule": style.PAGE["rule"]}).items():
        assert contrast(both[THEMES[theme]], page) >= 3, name
    assert contrast(style.PAGE["text"][THEMES[theme]], page) >= 7


@pytest.mark.parametrize("family", FAMILIES)
def test_what_meets_in_a_figure_has_another_sign_than_colour_too(family) -> None:
    colours, marks = FAMILIES[family]
    assert set(colours) == set(marks)
    assert len(set(colours.values())) == len(set(marks.values())) == len(colours)
    assert set(colours.values()) <= {light for light, _ in style.PALETTE.values()}


def test_series_that_are_no_networks_have_neither_the_colour_of_the_original_nor_of_the_mix() -> (
    None
):
    assert not {style.NETWORK_COLOURS["original"], style.NETWORK_COLOURS["mix"]} & set(
        style.SERIES_COLOURS
    )
    assert len(set(style.SERIES_MARKS)) == len(style.SERIES_MARKS) == len(style.SERIES_COLOURS)


def test_the_style_sheet_sets_every_variable_on_dark_pages_and_takes_it_back_in_print() -> None:
    sheet = (build.ROOT / "book" / "_static" / "blurpaper.css").read_text(encoding="utf-8")
    rules = re.findall(r'html\[data-theme="dark"\] \{([^}]*)\}', sheet)
    (dark,), (print_,) = (
        [rule for rule in rules if f"--figure-ink: {start}" in rule] for start in ("#", "initial")
    )
    assert dict(re.findall(r"(--figure-[a-z]+): (#[0-9a-f]{6});", dark)) == style.variables("dark")
    assert set(re.findall(r"(--figure-[a-z]+): initial;", print_)) == set(style.variables("dark"))
