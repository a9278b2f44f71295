"""Fine-tuning on a folder of one's own, as its user calls it."""

import pytest
import torch
from click.testing import CliRunner
from helpers import album

from blurpaper.cli import finetune, main
from blurpaper.evaluation import results
from blurpaper.kernels import MIXES
from blurpaper.networks import NetworkSpec, files
from blurpaper.networks.vgg import small_vgg


def run(*arguments: object):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def start(tmp_path):
    torch.manual_seed(0)
    files.save(small_vgg(("cat", "dog")), NetworkSpec("small_vgg"), tmp_path / "start.safetensors")
    return tmp_path / "start.safetensors"


@pytest.fixture(name="album")
def an_album(tmp_path):
    return album(tmp_path / "album")


LIGHT = ("-p", "finetuning.batch=4", "-p", "agreement.batch=4", "-p", "evaluation.bootstrap=20")


@pytest.mark.parametrize("how", [(), ("--unlabelled",)])
def test_a_tuned_network_is_written_and_can_be_evaluated(start, album, tmp_path, how) -> None:
    out = tmp_path / "tuned.safetensors"
    done = run(
        "finetune",
        "--network",
        start,
        "--images",
        album,
        "--mix",
        "sharp,D8,G4",
        "--out",
        out,
        *how,
        *LIGHT,
    )
    assert done.exit_code == 0, done.output
    assert "8 images" in done.output
    before, after = files.load(start).state_dict(), files.load(out).state_dict()
    assert any(not torch.equal(tensor, after[name]) for name, tensor in before.items())
    assert not list(tmp_path.glob("*.checkpoint"))
    table = tmp_path / "t.csv"
    done = run(
        "evaluate",
        "--network",
        out,
        "--images",
        album,
        "--conditions",
        "sharp,D8",
        "--out",
        table,
        *LIGHT[4:],
    )
    assert done.exit_code == 0, done.output
    rows = results.read(table)
    assert set(rows["network"]) == {"sharp,D8,G4"}
    assert {"top1", "ece"} <= set(rows["metric"])


def test_without_labels_a_bare_folder_will_do_and_with_them_it_will_not(
    start, album, tmp_path
) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for path in album.rglob("*.png"):
        path.rename(bare / path.name)
    out = tmp_path / "tuned.safetensors"
    done = run("finetune", "--network", start, "--images", bare, "--out", out, *LIGHT)
    assert done.exit_code == 2
    assert "--unlabelled" in done.output
    assert not out.exists()
    assert (
        run(
            "finetune", "--network", start, "--images", bare, "--out", out, "--unlabelled", *LIGHT
        ).exit_code
        == 0
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--mix", "sharp,D"), "'D'"),
        (("--mix", "sharp,sharp"), "named once"),
        (("--out", "tuned.pt"), ".safetensors file"),
        (("-p", "finetuning.batch=64"), "fewer than a batch"),
        (("--images", "nowhere"), "no folder at"),
    ],
)
def test_bad_input_gets_one_sentence(start, album, tmp_path, arguments, sentence) -> None:
    given = {"--network": start, "--images": album, "--out": tmp_path / "t.safetensors"} | dict(
        [arguments]
    )
    done = run("finetune", *(part for pair in given.items() for part in pair))
    assert done.exit_code == 2
    assert sentence in done.output
    assert done.output.count("\n") == 1


def test_the_five_conditions_of_the_paper_are_its_mix() -> None:
    assert finetune.mix_of("D8,sharp,D2,D4,D6") == ("mix", MIXES["mix"])
    assert finetune.mix_of("onlyD8") == ("onlyD8", {"D8": 1.0})
    assert finetune.mix_of("sharp,shake")[1] == {"sharp": 0.5, "shake": 0.5}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--out", "album"), "a .safetensors file"),
        (
            ("--out", "start.safetensors/tuned.safetensors"),
            "cannot write start.safetensors/tuned.safetensors",
        ),
        (
            ("--out", "t.safetensors", "--report", "album"),
            "cannot write album: Is a directory; name another place",
        ),
        (
            ("--out", "t.safetensors", "--report", "r.html", "--test", "nowhere"),
            "no folder at nowhere (--test)",
        ),
        (("--out", "t.safetensors", "--test", "album"), "add --report FILE"),
    ],
)
def test_what_cannot_be_written_or_read_at_the_end_is_told_before_anything_is_trained(
    start, album, tmp_path, monkeypatch, arguments, sentence
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(finetune, "finetune", lambda *_: pytest.fail("it trains"))
    done = run(
        "finetune", "--network", "start.safetensors", "--images", "album", *arguments, *LIGHT
    )
    assert done.exit_code == 2 and sentence in done.output, done.output


@pytest.mark.parametrize("option", ["--out", "--report"])
def test_an_evaluation_sees_first_whether_it_can_be_written(
    start, album, tmp_path, monkeypatch, option
) -> None:
    monkeypatch.setattr(
        "blurpaper.evaluation.folder.measure", lambda *_: pytest.fail("it measures")
    )
    done = run("evaluate", "--network", start, "--images", album, option, album)
    assert (
        done.exit_code == 2
        and f"cannot write {album}: Is a directory; name another place" in done.output
    ), done.output


def test_folders_that_name_no_class_are_told_of(start, album) -> None:
    (album / "cat").rename(album / "moggy")
    (album / "dog").rename(album / "hound")
    done = run("evaluate", "--network", start, "--images", album, "--conditions", "sharp", *LIGHT)
    assert "no subfolder of" in done.output and "consistency is measured" in done.output
