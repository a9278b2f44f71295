"""The report on a network under blur: one file that says what the table says and shows what blur
misleads.
"""

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import timm
import torch
from click.testing import CliRunner
from helpers import album
from PIL import Image
from safetensors.torch import save_file

from blurpaper.cli import main, report
from blurpaper.cli.base import ADVICE
from blurpaper.data.sets import ImageSet
from blurpaper.evaluation import results
from blurpaper.evaluation.folder import Measured
from blurpaper.networks import NetworkSpec, files
from blurpaper.networks.vgg import small_vgg
from blurpaper.networks.weights import named

LIGHT = ("-p", "finetuning.batch=4", "-p", "agreement.batch=4", "-p", "evaluation.bootstrap=20")


def run(*arguments: object):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BLURPAPER_STORE", str(tmp_path / "store"))
    album(tmp_path / "album & <b>", side=120, grain=10)
    torch.manual_seed(0)
    save_file(timm.create_model("test_resnet", num_classes=2).state_dict(), "net.safetensors")
    return tmp_path


NETWORK = ("--network", "test_resnet", "--weights", "net.safetensors", "--images", "album & <b>")


class Page(HTMLParser):
    """Elements of a page: (tag, attributes), its text and its lead; an element that is not closed
    fails.
    """

    EMPTY = ("meta", "img", "use", "path")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements, self.open, self.text, self.lead = [], [], "", ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if tag not in self.EMPTY:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if self.elements and self.elements[-1] == ("p", {"class": "lead"}) and self.open[-1] == "p":
            self.lead += data

    def all(self, tag):
        return [attributes for one, attributes in self.elements if one == tag]


def test_a_report_says_what_the_table_says_and_needs_nothing_but_itself(folder) -> None:
    done = run(
        "evaluate",
        *NETWORK,
        "--conditions",
        "sharp,D8,G4",
        "--out",
        "t.csv",
        "--report",
        "r.html",
        *LIGHT,
    )
    assert done.exit_code == 0, done.output
    text = (folder / "r.html").read_text(encoding="utf-8")
    page = Page(text)
    assert (
        not page.all("script")
        and not page.all("link")
        and not re.search(r"https?://(?!www\.w3\.org/)", text)
    )
    assert all(
        image["src"].startswith("data:image/webp;base64,") and image["alt"]
        for image in page.all("img")
    )
    (plot,) = (one for one in page.all("div") if one.get("role") == "img")
    rows = results.read(folder / "t.csv").set_index(["metric", "condition"])["value"]
    for condition in ("sharp", "D8", "G4"):
        share = f"{100 * rows['top1', condition]:.1f}"
        assert f"{condition} {share} %" in plot["aria-label"] and share in page.text
    assert "<b>" not in text and "8 of album & <b>" in page.text and ADVICE in page.text
    assert "prefers-color-scheme: dark" in text and "width=device-width" in text
    assert re.search(r"24 images classified in [\d.]+ s, [\d.]+ a second", page.text)


def test_the_report_of_a_tuning_has_both_networks_and_what_it_cost(folder) -> None:
    once = ("-p", "agreement.phases=[{epochs: 1, rate: 0.001}]")
    line = (
        *NETWORK,
        "--mix",
        "sharp,H8",
        "--unlabelled",
        "--out",
        "tuned.safetensors",
        "--report",
        "r.html",
        *LIGHT,
        *once,
    )
    done = run("finetune", *line)
    assert done.exit_code == 0, done.output
    page = Page((folder / "r.html").read_text(encoding="utf-8"))
    assert "before" in page.text and "after" in page.text and "2 steps" in page.text
    assert ADVICE not in page.text
    assert "tuned on, which flatters it" in page.text
    (plot,) = (one for one in page.all("div") if one.get("role") == "img")
    assert re.search(r"before: sharp .* H8 .*\. after: sharp ", plot["aria-label"])


def test_a_network_of_our_own_has_its_report_of_a_tuning_too(folder) -> None:
    files.save(small_vgg(("cat", "dog")), NetworkSpec("small_vgg"), folder / "own.safetensors")
    line = (
        "--network",
        "own.safetensors",
        "--images",
        "album & <b>",
        "--out",
        "tuned.safetensors",
        "--report",
        "r.html",
    )
    assert run("finetune", *line, "--test", "album & <b>/dog", *LIGHT).exit_code == 0
    page = Page((folder / "r.html").read_text(encoding="utf-8"))
    assert "before" in page.text and "flatters" not in page.text
    assert "4 of album & <b>/dog" in page.text


class Grey(ImageSet):
    def __getitem__(self, number):
        return torch.full((3, 120, 130), 20 * number % 256, dtype=torch.uint8)


def measured(answers, labels, labelled: bool = True) -> Measured:
    """The results of a network from its predictions: condition -> (class, confidence) an image."""
    count = len(labels)
    images = Grey(
        "grey",
        ("a", "b", "c"),
        np.array(labels),
        [f"{number}.png" for number in range(count)],
        "grey",
    )
    metric, found, rows = "top1" if labelled else "consistency", {}, []
    for condition, pairs in answers.items():
        log_p = torch.full((count, 3), 0.0)
        for number, (answer, confidence) in enumerate(pairs):
            log_p[number] = np.log((1 - confidence) / 2)
            log_p[number, answer] = np.log(confidence)
        found[condition] = {"256": log_p}
        right = float(np.mean([answer for answer, _ in pairs] == np.array(labels)))
        rows.append({"metric": metric, "scale": "256", "condition": condition, "value": right})
    truth = {"256": np.array(labels)}
    return Measured(results.table(rows), [], images, labelled, truth, found, 1.0)


def test_examples_are_right_sharp_and_wrong_blurred_the_most_confident_of_each_blur_in_turn(
    smoke,
) -> None:
    sharp = [(0, 0.9), (0, 0.9), (0, 0.9), (1, 0.9), (0, 0.9)]
    blurred = {
        "D2": [(1, 0.5), (1, 0.8), (0, 0.9), (1, 0.99), (0, 0.9)],
        "D8": [(1, 0.7), (1, 0.9), (2, 0.6), (1, 0.99), (0, 0.9)],
    }
    lines = [report.Line("it", measured({"sharp": sharp, **blurred}, [0, 0, 0, 0, 0]))]
    found = list(report.examples(lines, ["sharp", "D2", "D8"], "256", smoke))
    assert [(one.image, list(one.pictures)) for one in found] == [
        ("1.png", ["sharp", "D2"]),
        ("0.png", ["sharp", "D8"]),
        ("2.png", ["sharp", "D8"]),
    ]
    uri, (said,) = found[2].pictures["D8"]
    assert (said.name, round(said.confidence, 3), said.right, found[2].label) == (
        "c",
        0.6,
        False,
        "a",
    )
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))
    assert np.abs(shown.astype(int) - 40).max() <= 1


def test_examples_of_a_tuning_are_those_that_it_put_right(smoke) -> None:
    before = measured({"sharp": [(0, 0.9)] * 3, "D8": [(1, 0.8), (1, 0.9), (0, 0.9)]}, [0, 0, 0])
    after = measured({"sharp": [(0, 0.9)] * 3, "D8": [(0, 0.6), (1, 0.6), (1, 0.9)]}, [0, 0, 0])
    lines = [report.Line("before", before), report.Line("after", after)]
    (found,) = report.examples(lines, ["sharp", "D8"], "256", smoke)
    assert found.image == "0.png"
    assert [(one.network, one.name, one.right) for one in found.pictures["D8"][1]] == [
        ("before", "b", False),
        ("after", "a", True),
    ]


def test_no_more_than_a_dozen_examples_are_shown(smoke) -> None:
    many = measured({"sharp": [(0, 0.9)] * 40, "D8": [(1, 0.9)] * 40}, [0] * 40)
    assert (
        len(list(report.examples([report.Line("it", many)], ["sharp", "D8"], "256", smoke))) == 12
    )


def page_of(lines, path, smoke) -> Page:
    report.write(path, named("efficientnet_lite0:mix/agreement"), path.parent, lines, smoke)
    return Page(path.read_text(encoding="utf-8"))


def test_the_cost_counts_every_image_under_every_blur(tmp_path, smoke) -> None:
    found = measured({"sharp": [(0, 0.9)] * 4, "D8": [(0, 0.9)] * 4}, [0] * 4)
    page = page_of([report.Line("it", found)], tmp_path / "r.html", smoke)
    assert "8 images classified in 1.0 s, 8.0 a second" in page.text


@pytest.mark.parametrize(
    ("right", "labelled", "evaluated", "tuned"),
    [
        (
            {"sharp": 20, "D8": 10, "D2": 16},
            True,
            "Of 20 images, 100.0 % are recognised as they are, and 50.0 % under D8.",
            "Of 20 images under D8, 50.0 % are recognised before tuning and 50.0 % after.",
        ),
        (
            {"sharp": 10, "D8": 10},
            True,
            "Of 20 images, 50.0 % are recognised as they are, and 50.0 % under D8.",
            "Of 20 images under D8, 50.0 % are recognised before tuning and 50.0 % after.",
        ),
        (
            {"D2": 18, "D8": 10},
            True,
            "Of 20 images, 50.0 % are recognised under D8.",
            "Of 20 images under D8, 50.0 % are recognised before tuning and 50.0 % after.",
        ),
        (
            {"sharp": 10},
            True,
            "Of 20 images, 50.0 % are recognised as they are.",
            "Of 20 images as they are, 50.0 % are recognised before tuning and 50.0 % after.",
        ),
        (
            {"sharp": 20, "D2": 10},
            False,
            "Of 20 images, 50.0 % are classified as when sharp under D2.",
            "Of 20 images under D2, 50.0 % are classified as when sharp before tuning and 50.0 % "
            "after.",
        ),
    ],
)
def test_the_lead_tells_of_the_worst_blur_never_of_sharp_images_as_blurred(
    right, labelled, evaluated, tuned, tmp_path, smoke
) -> None:
    answers = {name: [(int(n >= count), 0.9) for n in range(20)] for name, count in right.items()}
    line = report.Line("it", measured(answers, [0] * 20, labelled))
    one, both = (page_of(lines, tmp_path / "r.html", smoke) for lines in ([line], [line, line]))
    assert (one.lead, both.lead) == (evaluated, tuned)
