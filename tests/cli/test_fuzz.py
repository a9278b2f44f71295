"""Input that nobody thought of: whatever comes in, what comes out is a value or the error that the
docstring names.

A few hundred examples, always the same, in an ordinary run; with ``FUZZ=100`` in the environment a
hundred times as many others.
"""

import io
import math
import os
import tempfile
import warnings
from pathlib import Path
from unittest import mock

import numpy as np
import torch
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from blurpaper.data.images import ImageError, jpeg_steps, read_image
from blurpaper.kernels import KINDS, check_condition, check_mix, psf
from blurpaper.runs import profile
from blurpaper.runs.profile import Profile, ProfileError, load, parse_overrides

TIMES = int(os.environ.get("FUZZ", "0"))


def tried(examples):
    return settings(max_examples=examples * max(TIMES, 1), derandomize=not TIMES, deadline=None)


# --- Names of PSFs --------------------------------------------------------------------------------

letters = st.sampled_from([*KINDS, "d", "X", "", "DD", "shake", "shake:", "sharp", "Ｄ"])
sizes = st.one_of(
    st.integers(-10, 10**7).map(str),
    st.floats().map(str),
    st.text("0123456789.-+eE: _٣\n", max_size=8),
    st.just(""),
)
names = st.one_of(st.text(max_size=12), st.builds(str.__add__, letters, sizes))
anything = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6), st.dates()
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=6) | st.integers(), inner, max_size=3)
    ),
    max_leaves=6,
)


@tried(400)
@given(st.one_of(names, names, anything))
def test_a_name_is_that_of_a_psf_or_a_value_error_in_one_line(name) -> None:
    try:
        kernel = psf(name)
    except ValueError as error:
        assert "Got " in str(error) and "\n" not in str(error)
        return
    assert (
        kernel.dtype == np.float32 and kernel.ndim == 2 and all(side % 2 for side in kernel.shape)
    )
    assert kernel.min() >= 0 and abs(float(kernel.sum(dtype=np.float64)) - 1) < 1e-5


conditions = st.one_of(st.sampled_from(["sharp", "shake", "D2", "D8", "G4.5", "shake:7"]), names)
shares = st.one_of(
    st.sampled_from([0.2, 0.5, 1, 1.0]), st.floats(), st.integers(-3, 3), st.fractions(), anything
)


@tried(200)
@given(st.one_of(names, st.dictionaries(conditions, shares, max_size=5)))
def test_a_mix_is_a_distribution_over_conditions_or_a_value_error_in_one_line(mix) -> None:
    try:
        checked = check_mix(mix)
    except ValueError as error:
        assert str(error) and "\n" not in str(error)
        return
    assert math.isclose(sum(checked.values()), 1, abs_tol=1e-6)
    assert all(check_condition(name) == name and 0 < share <= 1 for name, share in checked.items())


good = st.one_of(
    st.sampled_from(["sharp", "shake"]),
    st.builds("{}{}".format, st.sampled_from(sorted(KINDS)), st.integers(1, 96)),
    st.builds("shake:{}".format, st.integers(0, 99)),
)


@tried(100)
@given(st.lists(good, min_size=1, max_size=200, unique=True))
def test_equal_shares_of_any_conditions_are_a_mix(several) -> None:
    assert set(check_mix(dict.fromkeys(several, 1 / len(several)))) == set(several)


# --- Profiles -------------------------------------------------------------------------------------


def _fields(value, above=()):
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _fields(inner, (*above, name))
            yield ".".join((*above, name))


fields = st.one_of(
    st.sampled_from(sorted(_fields(load("emoji").model_dump()))), st.text("abc.:/é ", max_size=10)
)
values = st.one_of(anything, st.integers(0, 600), st.lists(st.integers(1, 400), max_size=3))


@tried(150)
@given(st.dictionaries(fields, values, max_size=4))
def test_overrides_give_a_profile_or_a_profile_error_in_one_line(overrides) -> None:
    try:
        loaded = load("emoji", overrides)
    except ProfileError as error:
        assert "\n" not in str(error)
        return
    assert isinstance(loaded, Profile)
    for dotted, value in overrides.items():
        assume(not any(other.startswith(f"{dotted}.") for other in overrides))
        found = loaded.model_dump()
        for part in dotted.split("."):
            found = found[part]
        # What is left out of a section that was set whole has its default.
        assert found == value or isinstance(value, (dict, list)) or value != value


pairs = st.one_of(
    st.text(max_size=20),
    st.builds(lambda field, value: f"{field}={value}", fields, st.text(max_size=12)),
)


@tried(300)
@given(st.lists(pairs, max_size=3))
def test_what_is_typed_after_p_is_read_or_a_profile_error_in_one_line(typed) -> None:
    try:
        overrides = parse_overrides(typed)
        load("emoji", overrides)
    except ProfileError as error:
        assert "\n" not in str(error)


def _as_yaml(value):
    return yaml.safe_dump(value, allow_unicode=True).encode()


texts = st.one_of(
    st.binary(max_size=40),
    st.text(max_size=40).map(str.encode),
    st.dictionaries(st.one_of(fields, st.just("extends")), values, max_size=4).map(_as_yaml),
    st.builds(
        lambda name, value: _as_yaml({"extends": "smoke", name: value}),
        st.sampled_from(sorted(Profile.model_fields)),
        values,
    ),
)


@tried(150)
@given(texts)
def test_a_file_is_a_profile_or_a_profile_error_in_one_line(content) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "mine.yaml")
        path.write_bytes(content)
        try:
            assert isinstance(load(str(path)), Profile)
        except ProfileError as error:
            assert "\n" not in str(error)


@tried(100)
@given(st.text(max_size=20))
def test_a_name_is_that_of_a_profile_or_a_profile_error_in_one_line(name) -> None:
    try:
        assert load(name).name in profile.names()
    except ProfileError as error:
        assert "\n" not in str(error)


# --- Images ---------------------------------------------------------------------------------------


def _files():
    """Small files of every sort that is read."""
    random = np.random.RandomState(0)
    colour = Image.fromarray(
        np.kron(random.randint(0, 256, (6, 8, 3)), np.ones((4, 4, 1))).astype(np.uint8)
    )
    deep = Image.fromarray(random.randint(0, 65536, (12, 10)).astype(np.uint16))
    exif = Image.Exif()
    exif[0x0112] = 6
    clear = colour.copy()
    clear.putalpha(Image.fromarray(random.randint(0, 256, (24, 32)).astype(np.uint8)))
    few = colour.quantize(16)
    made = [
        (colour, "JPEG", {"exif": exif}), (colour, "JPEG", {"progressive": True}),
        (colour.convert("CMYK"), "JPEG", {}),
        (colour, "PNG", {"exif": exif}), (clear, "PNG", {}), (deep, "PNG", {}),
        (few, "PNG", {"transparency": 3}), (colour.convert("1"), "PNG", {}),
        (colour, "WEBP", {"exif": exif}), (clear, "WEBP", {"lossless": True}),
        (colour, "BMP", {}), (few, "BMP", {}),
        (colour, "TIFF", {}), (colour, "TIFF", {"compression": "tiff_lzw"}), (deep, "TIFF", {}),
        (colour.convert("F"), "TIFF", {}), (colour, "TIFF", {"compression": "jpeg"}),
        (colour, "PPM", {}), (deep, "PPM", {}), (colour, "GIF", {}), (colour, "TGA", {}),
        (colour, "PCX", {}), (colour, "ICO", {}), (colour, "SGI", {}), (colour, "DDS", {}),
    ]  # fmt: skip
    for image, kind, options in made:
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        yield buffer.getvalue()


FILES = list(_files())
beginnings = st.sampled_from([whole[:length] for whole in FILES for length in (2, 8, 16, 64)])
changes = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6)


@st.composite
def mutated(draw):
    """A file with some bytes changed, most of them near its beginning, with a part left out or
    twice, or with its end cut off.
    """
    content = bytearray(draw(st.sampled_from(FILES)))
    near = draw(st.sampled_from([32, 128, len(content)]))
    for place, byte in draw(changes):
        content[int(place * min(near, len(content)))] = byte
    start, stop = sorted(
        draw(st.tuples(st.integers(0, len(content)), st.integers(0, len(content))))
    )
    how = draw(st.sampled_from(["whole", "whole", "cut", "without", "twice"]))
    parts = {
        "cut": content[:stop],
        "without": content[:start] + content[stop:],
        "twice": content[:stop] + content[start:],
    }
    return bytes(parts.get(how, content))


@tried(400)
@given(
    st.one_of(
        mutated(),
        mutated(),
        mutated(),
        st.binary(max_size=300),
        st.builds(bytes.__add__, beginnings, st.binary(max_size=300)),
    )
)
def test_a_file_is_read_as_an_image_or_is_an_image_error_that_names_it(content) -> None:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder, "image.jpg")
        path.write_bytes(content)
        # Sides that a header claims are allocated: keep them small here.
        with mock.patch.object(Image, "MAX_IMAGE_PIXELS", 100_000):
            try:
                image = read_image(path)
                steps = jpeg_steps(path)
            except ImageError as error:
                assert str(path) in str(error) and "\n" not in str(error)
                return
        assert (
            image.dtype == torch.uint8
            and image.ndim == 3
            and image.shape[0] == 3
            and image.numel() > 0
        )
        assert steps is None or len(steps) == 64
