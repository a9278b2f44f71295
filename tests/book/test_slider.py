"""The page with a blur slider: its numbers are the protocol's, and it works, in a browser, as
files, without scripts.
"""

import base64
import io
import json
import re
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blurpaper import kernels, networks
from blurpaper.book import slider
from blurpaper.book.slider import FIRST, PHOTOGRAPHS
from blurpaper.data.examples import photograph
from blurpaper.data.images import to_canonical
from blurpaper.evaluation import protocol
from blurpaper.runs.profile import load

ROOT = Path(__file__).parents[2]
PAGE = "notebooks/15_play.html"
NETWORKS = ("original", "mix/agreement")


# --- Numbers --------------------------------------------------------------------------------------


@pytest.fixture
def found(monkeypatch, store) -> dict:
    """What the page shows, of the photograph and the blur that it opens with alone."""
    monkeypatch.setattr(slider, "PHOTOGRAPHS", [one for one in PHOTOGRAPHS if one.name == FIRST[0]])
    monkeypatch.setattr(slider, "kinds", lambda: {"a kind": {"sharp": "sharp", FIRST[1]: "blur"}})
    return slider.photographs(store)


def test_predictions_are_the_protocols_and_differ_where_the_page_opens(found) -> None:
    (example,) = slider.PHOTOGRAPHS
    settings, right = load("photos"), {}
    canonical = to_canonical(photograph(example), settings.protocol.canonical)
    for name in NETWORKS:
        network = networks.load(f"efficientnet_lite0:{name}")
        (shares,) = protocol.log_probabilities(
            {"256": network}, [canonical], [""], FIRST[1], settings.protocol, settings.compute, 1
        )["256"].softmax(dim=1)
        one = found[FIRST[0]]["networks"][name][FIRST[1]]
        assert one["likely"][0][0] == network.classes[int(shares.argmax())]
        assert [share for _, share in one["likely"]] == pytest.approx(
            sorted(shares.tolist())[:-6:-1], abs=1e-3
        )
        assert one["entropy"] == pytest.approx(float(-(shares * shares.log()).sum()), abs=0.01)
        right[name] = sum(share for label, share in one["likely"] if label in example.answers)
    assert right["mix/agreement"] > right["original"] + 0.25


def test_the_picture_is_the_blurred_photograph(found) -> None:
    one, side = found[FIRST[0]], load("photos").protocol.canonical
    canonical = to_canonical(photograph(slider.PHOTOGRAPHS[0]), side)
    assert one["size"] == [canonical.shape[2], canonical.shape[1]]
    for condition, uri in one["pictures"].items():
        shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))), float)
        expected = protocol.blurred(canonical[None], [""], condition, side)[0]
        assert np.abs(shown - expected.permute(1, 2, 0).numpy()).mean() < 4


def test_every_notch_blurs_more_than_the_one_before() -> None:
    for named in slider.kinds().values():
        names = list(named)
        assert names[0] == "sharp" and len(names) == 9
        spread = [kernels.axis_variance(kernels.psf(name)).sum() for name in names[1:]]
        assert all(one < other for one, other in pairwise(spread))
        assert all(condition in words for condition, words in named.items())
    assert any(FIRST[1] in named for named in slider.kinds().values())


# --- The page in a browser ------------------------------------------------------------------------


def invented() -> dict:
    """What a page shows, with numbers that say where they belong."""
    shown = {}
    conditions = list(dict.fromkeys(one for named in slider.kinds().values() for one in named))
    for number, example in enumerate(PHOTOGRAPHS):
        pictures, predictions = {}, {name: {} for name in NETWORKS}
        for place, condition in enumerate(conditions):
            content = io.BytesIO()
            Image.new("RGB", (60, 40), (6 * place, 50 * number, 90)).save(content, "WEBP")
            uri = base64.b64encode(content.getvalue()).decode()
            pictures[condition] = f"data:image/webp;base64,{uri}"
            for name in NETWORKS:
                first = [f"{name} of {example.name} <{condition}>", 0.9 - place / 100]
                likely = [first, [example.answers[0], 0.05]]
                predictions[name][condition] = {"likely": likely, "entropy": place / 10}
        words = {"title": example.what, "answers": example.answers, "source": example.source}
        seen = {"size": [60, 40], "pictures": pictures, "networks": predictions}
        shown[example.name] = words | seen
    return shown


@pytest.fixture
def site(tmp_path) -> Path:
    """A book of this page alone, without the theme."""
    html = tmp_path / "html"
    shutil.copytree(ROOT / "book" / "_static", html / "_static")
    (html / "notebooks").mkdir()
    page = (
        '<!DOCTYPE html>\n<html lang="en">\n'
        '<head><meta charset="utf-8"><title>Play</title></head>\n<body><main>'
        "<h1>Play</h1><h2>Slider</h2>"
        f"{slider.html(invented())}</main></body>\n</html>\n"
    )
    (html / PAGE).write_text(page, encoding="utf-8")
    return html


@pytest.fixture(scope="module")
def chromium():
    """A Chromium without a window, or a skip that says what is missing."""
    playwright = pytest.importorskip("playwright.sync_api")
    path = (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    if not path:
        pytest.skip("no Chromium on the path")
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


def opened(chromium, address: str, **options):
    """A page, and the errors it has as they come."""
    page, errors = chromium.new_context(**options).new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
        "console", lambda message: errors.append(message.text) if message.type == "error" else None
    )
    page.goto(address)
    return page, errors


def test_the_data_come_as_text_that_no_browser_runs(site) -> None:
    page = (site / PAGE).read_text(encoding="utf-8")
    (text,) = re.findall(
        r'<script type="application/json" id="play-data">(.*?)</script>', page, re.DOTALL
    )
    data = json.loads(text)
    assert list(data["photographs"]) == [example.name for example in PHOTOGRAPHS]
    assert "<" not in text


def test_the_slider_works_by_keyboard_from_files(chromium, site) -> None:
    page, errors = opened(chromium, (site / PAGE).as_uri())
    handle = page.get_by_label("Size of the blur")
    assert page.locator(f"[data-shown='{' '.join(FIRST)}']").count() == 1
    page.get_by_role("radio", name="a cat").check()
    page.get_by_role("radio", name="Defocus").check()
    handle.focus()
    page.keyboard.press("End")
    assert handle.get_attribute("aria-valuetext") == "D8, a disk of radius 8 px"
    page.get_by_role("status").get_by_text(
        "D8, a disk of radius 8 px. original: original of chelsea <D8>"
    ).wait_for()
    page.keyboard.press("Home")
    assert page.locator("[data-shown='chelsea sharp']").count() == 1
    page.get_by_role("radio", name="a cup of coffee").check()
    page.get_by_role("radio", name="Gaussian").check()
    page.get_by_role("radio", name="Gaussian").press("ArrowDown")
    handle.press("ArrowRight")
    first, words = list(slider.kinds()["Camera shake"].items())[1]
    assert page.locator(f"[data-shown='coffee {first}']").count() == 1
    panel = page.get_by_role("region", name="mix/agreement")
    assert panel.get_by_role("rowheader").first.inner_text() == f"mix/agreement of coffee <{first}>"
    assert panel.get_by_role("rowheader").nth(1).inner_text() == "espresso ✓"
    picture = page.get_by_role("img", name=f"Photograph of a cup of coffee: {words}")
    assert picture.is_visible()
    assert not errors


def test_picture_and_bars_are_side_by_side_on_one_screen(chromium, site) -> None:
    size = {"width": 900, "height": 700}
    page, _ = opened(chromium, (site / PAGE).as_uri(), viewport=size)
    picture = page.locator("form img").bounding_box()
    for name in NETWORKS:
        bars = page.get_by_role("region", name=name).bounding_box()
        assert picture["x"] + picture["width"] < bars["x"]
        assert bars["y"] + bars["height"] < size["height"]


def test_without_scripts_there_is_a_table_for_one_blur(chromium, site) -> None:
    page, _ = opened(chromium, (site / PAGE).as_uri(), java_script_enabled=False)
    assert not page.locator("form").is_visible()
    rows = page.locator("table tbody tr:has(td)")
    assert rows.count() == len(PHOTOGRAPHS)
    assert f"original of chelsea <{FIRST[1]}>" in rows.first.inner_text()


@pytest.mark.parametrize("width", [375, 1440])
def test_the_page_is_accessible_and_no_wider_than_the_screen(chromium, site, width) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page, _ = opened(chromium, (site / PAGE).as_uri(), viewport={"width": width, "height": 800})
    page.wait_for_selector("[data-shown]")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = axe.run(page).response["violations"]
    assert not [(one["id"], [node["target"] for node in one["nodes"]]) for one in found]
