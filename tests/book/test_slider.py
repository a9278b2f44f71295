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
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from blurpaper import data, kernels
from blurpaper.book import slider
from blurpaper.book.slider import EMBEDDED, PHOTOGRAPHS, on_embedded, on_photographs, together
from blurpaper.data.images import to_canonical
from blurpaper.evaluation import invariance, protocol
from blurpaper.experiments.sources import Committed, Computed
from blurpaper.networks import build
from blurpaper.runs import Run
from blurpaper.runs.profile import load

ROOT = Path(__file__).parents[2]
PAGE = "notebooks/15_play.html"


# --- Numbers --------------------------------------------------------------------------------------


@pytest.fixture
def few(monkeypatch) -> list[str]:
    """Three blurs, so that it is quick."""
    names = ["sharp", "D4", "shake:3"]
    monkeypatch.setattr(slider, "conditions", lambda: names)
    return names


def test_what_is_shown_is_what_the_protocol_and_the_distances_say(
    few, smoke, random_images
) -> None:
    torch.manual_seed(0)
    networks = {
        name: build("small_vgg", [f"class {number}" for number in range(9)], 64).eval()
        for name in ("original", "mix")
    }
    compute = smoke.compute.model_copy(update={"precision": "float32"})
    references = {name: SimpleNamespace(loaded=network) for name, network in networks.items()}
    played = slider.played(references, {"a": random_images[0]}, smoke.protocol, compute)
    canonical = to_canonical(random_images[0], smoke.protocol.canonical)
    assert played["photographs"]["a"]["size"] == [canonical.shape[2], canonical.shape[1]]
    for name, network in networks.items():
        distances = invariance.mean_distances(
            network, [canonical], ["a"], few, "256", smoke.protocol, compute, batch=1
        )
        for condition in few:
            told = played["photographs"]["a"]["seen"][condition]["networks"][name]
            found = protocol.log_probabilities(
                {"256": network}, [canonical], ["a"], condition, smoke.protocol, compute, 1
            )
            shares = found["256"][0].double().softmax(dim=0)
            assert [share for _, share in told["likely"]] == pytest.approx(
                sorted(shares.tolist())[:-6:-1], abs=2e-4
            )
            assert told["likely"][0][0] == f"class {int(shares.argmax())}"
            assert told["entropy"] == pytest.approx(float(-(shares * shares.log()).sum()), abs=2e-4)
            assert told["distances"] == pytest.approx(distances[condition][0].tolist(), abs=2e-4)


def test_the_picture_is_the_blurred_image(few, smoke, random_images) -> None:
    played = slider.played({}, {"a": random_images[0]}, smoke.protocol, smoke.compute)
    canonical = to_canonical(random_images[0], smoke.protocol.canonical)[None]
    for condition in few:
        uri = played["photographs"]["a"]["seen"][condition]["picture"]
        shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))), float)
        expected = (
            protocol.blurred(canonical, ["a"], condition, smoke.protocol.canonical)[0]
            .permute(1, 2, 0)
            .numpy()
        )
        assert np.abs(shown - expected).mean() < 4


def test_every_notch_blurs_more_than_the_one_before() -> None:
    for kind in slider.kinds():
        names = [step["condition"] for step in kind["steps"]]
        assert names[0] == "sharp" and len(names) == 9
        spread = [kernels.axis_variance(kernels.psf(name)).sum() for name in names[1:]]
        assert all(one < other for one, other in pairwise(spread))
        assert all(step["condition"] in step["said"] for step in kind["steps"])


def test_a_second_look_loads_what_the_first_computed(store, monkeypatch) -> None:
    calls = []

    def played(networks, shown, *_):
        calls.append(list(networks))
        return {
            "networks": list(networks),
            "photographs": {name: {"size": [1, 1]} for name in shown},
        }

    played.__module__ = slider.__name__  # whose code counts
    monkeypatch.setattr(slider, "played", played)
    first = on_photographs(store)
    assert first == on_photographs(store)
    assert calls == [["original", "mix"]]
    assert first["photographs"]["chelsea"]["title"] == "Photograph of a cat"
    assert set(first["photographs"]["coffee"]) == {"size", "choice", "title", "answers", "source"}


def test_the_embedded_pictures_are_test_images_of_the_run_seen_by_its_own_networks(
    few, smoke, store, monkeypatch
) -> None:
    torch.manual_seed(0)
    images = data.load_images("emoji", "test", Run(smoke, store))
    networks = {
        name: build("small_vgg", images.classes, smoke.protocol.field).eval()
        for name in ("original", "mix")
    }
    asked = []

    def reference(spec, run):
        asked.append(str(spec))
        return SimpleNamespace(loaded=networks[spec.mix], identity=str(spec))

    monkeypatch.setattr(slider, "reference", reference)
    played = on_embedded(Computed(Run(smoke, store)))
    assert asked == ["small_vgg:original", "small_vgg:mix"]
    shown = played["photographs"]
    assert len({one["answers"] for one in shown.values()}) == len(shown) == EMBEDDED
    for name, one in shown.items():
        number = images.ids.index(name)
        assert one["answers"] == (images.classes[images.labels[number]],)
        canonical = [to_canonical(images[number], smoke.protocol.canonical)]
        compute = smoke.compute.model_copy(update={"precision": "float32"})
        for condition in few:
            found = protocol.log_probabilities(
                {"256": networks["mix"]}, canonical, [name], condition, smoke.protocol, compute, 1
            )
            shares = dict(zip(images.classes, found["256"][0].softmax(dim=0).tolist(), strict=True))
            for label, share in one["seen"][condition]["networks"]["mix"]["likely"]:
                assert share == pytest.approx(shares[label], abs=2e-4)


def test_where_the_data_are_photographs_the_committed_drawings_are_shown(store) -> None:
    emoji = Committed(load("emoji"))
    committed = emoji.played(None)
    assert committed and committed["kinds"] == slider.kinds()
    assert on_embedded(Computed(Run(load("photos"), store))) == committed
    assert on_embedded(emoji) == committed
    assert on_embedded(Committed(load("smoke"))) is None
    known = emoji.decisions(network="original", scale="256", condition="D4")
    decided = known.drop_duplicates("image").set_index("image")
    right = 0
    for name, one in committed["photographs"].items():
        told = one["seen"]["D4"]["networks"]["original"]
        right += abs(told["likely"][0][1] - decided.loc[name]["confidence"]) < 0.05
    assert right >= EMBEDDED - 1


def test_pictures_of_several_sets_are_one_set(few) -> None:
    one, other = (
        {"networks": ["a"], "photographs": {"x": 1}},
        {"networks": ["a"], "photographs": {"y": 2}},
    )
    assert together(one, None) == one
    assert together(one, other) == {"networks": ["a"], "photographs": {"x": 1, "y": 2}}


# --- The page in a browser ------------------------------------------------------------------------


def invented() -> dict:
    """What a page shows, with numbers that say where they belong."""
    kinds = slider.kinds()
    shown = {}
    for number, example in enumerate(PHOTOGRAPHS):
        by_condition = {}
        for place, condition in enumerate(slider.conditions()):
            content = io.BytesIO()
            Image.new("RGB", (60, 40), (6 * place, 50 * number, 90)).save(content, "WEBP")
            uri = f"data:image/webp;base64,{base64.b64encode(content.getvalue()).decode()}"
            told = {
                name: {
                    "likely": [
                        [f"{name} of {example.name} <{condition}>", 0.9 - place / 100],
                        [example.answers[0], 0.05],
                    ],
                    "entropy": place / 10,
                    "distances": [place / 100] * 5,
                }
                for name in ("original", "mix")
            }
            by_condition[condition] = {"picture": uri, "networks": told}
        words = {
            "choice": example.what,
            "title": f"Photograph of {example.what}",
            "answers": example.answers,
            "source": "",
        }
        shown[example.name] = {"size": [60, 40], "seen": by_condition, **words}
    stages = [f"pool{number}" for number in range(1, 6)]
    return {"networks": ["original", "mix"], "stages": stages, "kinds": kinds, "photographs": shown}


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
    assert not page.locator(".play-plain").is_visible()
    handle.focus()
    page.keyboard.press("End")
    assert handle.get_attribute("aria-valuetext") == "D8, a disk of radius 8 pixels"
    page.get_by_role("status").get_by_text(
        "Under D8, a disk of radius 8 pixels: original says original of chelsea <D8>"
    ).wait_for()
    page.keyboard.press("Home")
    assert page.locator("[data-shown='chelsea sharp']").count() == 1
    page.get_by_role("radio", name="a cup of coffee").check()
    page.get_by_role("radio", name="Gaussian").check()
    page.get_by_role("radio", name="Gaussian").press("ArrowDown")
    handle.press("ArrowRight")
    first = slider.kinds()[3]["steps"][1]["condition"]
    assert page.locator(f"[data-shown='coffee {first}']").count() == 1
    panel = page.get_by_role("region", name="mix")
    assert panel.get_by_role("rowheader").first.inner_text() == f"mix of coffee <{first}>"
    assert panel.get_by_role("rowheader").nth(1).inner_text().startswith("espresso ✓")
    assert page.get_by_role(
        "img", name=f"Photograph of a cup of coffee, blurred by {slider.description(first)}"
    ).is_visible()
    assert not errors


def test_without_scripts_there_is_a_table_for_one_blur(chromium, site) -> None:
    page, _ = opened(chromium, (site / PAGE).as_uri(), java_script_enabled=False)
    assert not page.locator("form").is_visible()
    rows = page.locator(".play-plain tbody tr")
    assert rows.count() == len(PHOTOGRAPHS)
    assert f"original of chelsea <{slider.FIRST}>" in rows.first.inner_text()


@pytest.mark.parametrize("width", [375, 1440])
def test_the_page_is_accessible_and_no_wider_than_the_screen(chromium, site, width) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page, _ = opened(chromium, (site / PAGE).as_uri(), viewport={"width": width, "height": 800})
    page.wait_for_selector("[data-shown]")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = axe.run(page).response["violations"]
    assert not [(one["id"], [node["target"] for node in one["nodes"]]) for one in found]
