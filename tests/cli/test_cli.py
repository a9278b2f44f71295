"""The command line as a stranger uses it: what it says, what it leaves behind, and the exit status
a script sees.
"""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator

import click
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from scipy import ndimage

from blurpaper import kernels
from blurpaper.book import build
from blurpaper.cli import main
from blurpaper.cli.base import ADVICE
from blurpaper.evaluation import results


def run(*arguments: object, **environment: str):
    return CliRunner().invoke(main, [str(argument) for argument in arguments], env=environment)


@pytest.fixture
def picture(tmp_path):
    pixels = np.random.RandomState(0).randint(0, 256, (384, 400, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "in.png")
    return tmp_path / "in.png", pixels


VERBS = [
    "run",
    "chapter",
    "book",
    "publish",
    "check",
    "compare",
    "train",
    "evaluate",
    "finetune",
    "blur",
    "deblur",
    "data",
]


def test_there_are_these_verbs_and_no_others_and_help_tells_of_each() -> None:
    assert sorted(main.commands) == sorted(VERBS)
    assert set(main.commands["data"].commands) == {"list", "fetch", "verify"}
    said = run("--help").output
    for verb in VERBS:
        assert f"\n  {verb} " in said
        assert "Usage" in run(verb, "--help").output


def test_help_of_finetune_says_when_to_use_labels_and_when_not() -> None:
    said = run("finetune", "--help").output.replace("-\n  ", "-")  # as click wraps it
    assert ADVICE in " ".join(said.split())


def shown() -> Iterator[tuple[str, str]]:
    """(file, command) of every command in a page, in its prose or in a block of shell."""
    for path in (
        *build.ROOT.glob("*.md"),
        *build.ROOT.glob("book/*.md"),
        *build.NOTEBOOKS.glob("*.py"),
    ):
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".py":
            text = re.sub(r"^# ?", "", text, flags=re.M)
        blocks = "\n".join(re.findall(r"^```sh\n(.*?)^```", text, flags=re.M | re.S))
        for line in blocks.replace("\\\n", " ").splitlines():
            if found := re.match(r"(?:.*-m )?blurpaper (.*)", line):
                yield path.name, found[1]
        yield from ((path.name, one) for one in re.findall(r"`blurpaper ([^`]+)`", text))


def test_every_command_that_a_page_shows_is_one_that_there_is() -> None:
    commands = list(shown())
    assert {"README.md", "20_use_it.py", "21_extend_it.py"} <= {file for file, _ in commands}
    for file, line in commands:
        group, (verb, *rest) = main, shlex.split(line, comments=True)
        if verb == "data" and rest:
            group, (verb, *rest) = main.commands["data"], rest
        assert verb in group.commands, (file, line)
        if rest:  # else it is only named
            try:
                group.commands[verb].make_context(verb, rest, click.Context(main))
            except click.ClickException as error:
                raise AssertionError(f"{file}: {line}: {error.format_message()}") from None


@pytest.mark.parametrize("module", ["torch", "numpy", "pandas", "scipy", "matplotlib", "pydantic"])
def test_importing_the_package_and_asking_for_help_import_nothing_heavy(module: str) -> None:
    code = f"import sys, blurpaper, blurpaper.cli; sys.exit({module!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_blur_of_a_file_is_a_plain_convolution(picture, tmp_path) -> None:
    path, pixels = picture
    assert run("blur", path, tmp_path / "out.png", "--psf", "D4").exit_code == 0
    kernel = kernels.psf("D4").astype(np.float64)
    expected = np.stack(
        [ndimage.convolve(pixels[..., c].astype(float), kernel, mode="mirror") for c in range(3)],
        -1,
    )
    assert (
        np.abs(np.asarray(Image.open(tmp_path / "out.png")).astype(int) - np.rint(expected)).max()
        <= 1
    )


def test_blur_sizes_grow_with_the_image_unless_pixels_are_meant(tmp_path) -> None:
    dot = np.zeros((768, 768, 3), np.uint8)
    dot[383:386, 383:386] = 255
    Image.fromarray(dot).save(tmp_path / "dot.png")
    for options, scale in (((), 2.0), (("--pixels",), 1.0)):
        assert (
            run(
                "blur", tmp_path / "dot.png", tmp_path / "out.png", "--psf", "H8", *options
            ).exit_code
            == 0
        )
        row = np.asarray(Image.open(tmp_path / "out.png"))[384, :, 0].astype(float)
        place = np.arange(768)
        variance = (row @ place**2) / row.sum() - ((row @ place) / row.sum()) ** 2 - 8 / 12
        assert variance == pytest.approx(
            scale**2 * kernels.axis_variance(kernels.psf("H8"))[1], rel=0.03
        )


def test_blur_of_a_folder_keeps_its_tree_and_tells_what_it_left_out(picture, tmp_path) -> None:
    path, _ = picture
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    path.rename(folder / "sub" / "a.png")
    (folder / "broken.jpg").write_bytes(b"<html>")
    said = run("blur", folder, tmp_path / "out", "--psf", "shake")
    assert said.exit_code == 1
    assert "broken.jpg" in said.output
    assert (tmp_path / "out" / "sub" / "a.png").is_file()


def test_deblur_undoes_blur_and_reports_the_noise_that_it_assumed(tmp_path) -> None:
    from skimage.data import chelsea

    sharp = chelsea()[60:160, 150:300]
    Image.fromarray(sharp).save(tmp_path / "in.png")
    Image.fromarray(sharp).save(tmp_path / "in.jpg", quality=95)
    for kind in ("png", "jpg"):
        run(
            "blur", tmp_path / f"in.{kind}", tmp_path / f"blurred.{kind}", "--psf", "D4", "--pixels"
        )
        said = run(
            "deblur",
            tmp_path / f"blurred.{kind}",
            tmp_path / f"out.{kind}",
            "--psf",
            "D4",
            "--pixels",
        )
        assert said.exit_code == 0 and "1 image deblurred to" in said.output
        level = "0.9" if kind == "jpg" else "0.3"
        assert f"noise of {level} grey levels was assumed (--noise sets another)" in said.output
        blurred, restored = (
            np.asarray(Image.open(tmp_path / f"{name}.{kind}"), float)
            for name in ("blurred", "out")
        )
        assert ((restored - sharp) ** 2).mean() < 0.5 * ((blurred - sharp) ** 2).mean()


def test_deblur_of_a_folder_takes_a_prior_of_ones_own_and_tells_what_it_left_out(
    picture, tmp_path
) -> None:
    from safetensors.torch import save_file

    from blurpaper.deblurring import Mixture, prior

    whole = prior.bundled_prior()
    few = Mixture(whole.weights[:4] / whole.weights[:4].sum(), whole.covariances[:4])
    save_file(few.state(), tmp_path / "own.safetensors")
    (tmp_path / "photos").mkdir()
    picture[0].rename(tmp_path / "photos" / "a.png")
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"<html>")
    said = run(
        "deblur",
        tmp_path / "photos",
        tmp_path / "out",
        "--psf",
        "D4",
        "--prior",
        tmp_path / "own.safetensors",
    )
    assert (
        said.exit_code == 1 and "broken.jpg" in said.output and "1 image deblurred" in said.output
    )
    assert (tmp_path / "out" / "a.png").is_file()


def test_deblur_takes_a_border_and_reports_the_noise_of_a_folder(tmp_path) -> None:
    import torch
    from skimage.data import chelsea

    from blurpaper import blur, deblurring
    from blurpaper.data.images import read_image, write_image

    sharp = torch.from_numpy(chelsea()[60:140, 150:240].copy()).permute(2, 0, 1)
    seen = blur.apply(sharp, "D4")
    noise = 3 * torch.randn(seen.shape, generator=torch.Generator().manual_seed(0))
    write_image(seen, tmp_path / "in" / "a.png")
    write_image((seen + noise).clamp(0, 255).byte(), tmp_path / "in" / "b.png")
    line = ["deblur", tmp_path / "in", tmp_path / "out", "--psf", "D4", "--pixels"]
    said = run(*line, "--method", "gradient", "--border", "mirror")
    assert said.exit_code == 0 and "noise of 0.3 to 2.9 grey levels was assumed" in said.output
    expected = deblurring.restore(seen, "D4", "gradient", border="mirror")
    assert torch.equal(read_image(tmp_path / "out" / "a.png"), expected)
    assert not torch.equal(expected, deblurring.restore(seen, "D4", "gradient"))
    said = run(*line, "--border", "torus")
    assert said.exit_code == 2 and "a border is unknown or mirror. Got 'torus'" in said.output


def test_help_of_deblur_names_every_method() -> None:
    from blurpaper.deblurring import METHODS

    said = " ".join(run("deblur", "--help").output.split())
    assert all(method in said for method in METHODS)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["deblur", "IN", "out.png", "--psf", "D-1"], "'D-1'"),
        (["deblur", "IN", "out.png", "--psf", "shake"], "shake:17"),
        (["deblur", "IN", "out.png", "--psf", "D4", "--method", "magic"], "'magic'"),
        (["deblur", "IN", "out.png", "--psf", "D4", "--noise", "0"], "above 0"),
        (
            ["deblur", "IN", "out.png", "--psf", "D4", "--prior", "in.png"],
            "in.png cannot be read as a prior",
        ),
        (["deblur", "none.png", "out.png", "--psf", "D4"], "none.png"),
        (
            ["chapter", "06", "-p", "deblurring.psf=D5"],
            "a condition under which small_vgg:original is measured. Got 'D5'",
        ),
        (["chapter", "06", "-p", "deblurring.wrong_psfs=[D]"], "'D'"),
        (["chapter", "06", "-p", "deblurring.methods=[epl]"], "'epl'"),
        (["chapter", "06", "-p", "deblurring.networks=[mixx]"], "'mixx'"),
        (["blur", "IN", "out.png", "--psf", "D-1"], "'D-1'"),
        (["blur", "none.png", "out.png", "--psf", "D4"], "no image file at none.png"),
        (["blur", "IN", "out.xyz", "--psf", "D4"], "suffix"),
        (["train", "small_vgg:nomix"], "'nomix'"),
        (["chapter", "77"], "no chapter '77'"),
        (["chapter", "02", "-p", "seeed=1"], "did you mean 'seed'"),
        (["chapter", "02", "--profile", "emojy"], "did you mean 'emoji'"),
        (["evaluate", "--network", "lenet", "--images", "."], "'lenet'"),
        (["evaluate", "--network", "efficientnet_lite0", "--images", "nowhere"], "no folder"),
        (
            ["evaluate", "--network", "efficientnet_lite0", "--images", ".", "--conditions", "D0"],
            "'D0'",
        ),
        (
            ["evaluate", "--network", "efficientnet_lite0", "--images", ".", "--scales", "300"],
            "'300'",
        ),
    ],
)
def test_bad_input_gets_one_sentence_and_status_2(
    arguments, sentence, picture, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = run(*["in.png" if argument == "IN" else argument for argument in arguments])
    assert said.exit_code == 2
    assert sentence in said.output
    assert len(said.output.strip().splitlines()) == 1


def test_missing_photographs_stop_a_run_before_any_work(tmp_path) -> None:
    said = run(
        "run",
        "--profile",
        "photos",
        BLURPAPER_DATA=str(tmp_path),
        BLURPAPER_STORE=str(tmp_path / "store"),
    )
    assert said.exit_code == 2
    assert f"nips2017-dev is not at {tmp_path}" in said.output
    assert not (tmp_path / "store").exists()


def test_a_dry_run_says_what_is_to_do_and_does_nothing(tmp_path) -> None:
    said = run("run", "--profile", "smoke", "--dry-run", BLURPAPER_STORE=str(tmp_path / "store"))
    assert said.exit_code == 0
    assert "small_vgg:original: 40 steps of 64" in said.output
    assert "100 images x 12 conditions" in said.output
    assert not (tmp_path / "store").exists()


def test_evaluate_writes_tidy_rows_with_accuracy_where_folders_name_classes(
    picture, tmp_path
) -> None:
    path, _ = picture
    for wnid in ("n01440764", "n01443537"):
        (tmp_path / "photos" / wnid).mkdir(parents=True)
        for number in range(2):
            (tmp_path / "photos" / wnid / f"{number}.png").write_bytes(path.read_bytes())
    options = ["--conditions", "sharp,D8", "--scales", "128", "--out", tmp_path / "t.csv"]
    store = {"BLURPAPER_STORE": str(tmp_path / "store")}
    said = run(
        "evaluate",
        "--network",
        "efficientnet_lite0",
        "--images",
        tmp_path / "photos",
        *options,
        **store,
    )
    assert said.exit_code == 0, said.output
    rows = results.read(tmp_path / "t.csv")
    assert set(rows["metric"]) == {"top1", "top5", "entropy", "cross_entropy", "ece"}
    assert set(rows["condition"]) == {"sharp", "D8"}
    assert (rows["n"] == 4).all()
    assert (
        (rows["low"] <= rows["value"]) & (rows["value"] <= rows["high"]) | (rows["metric"] == "ece")
    ).all()


def test_evaluate_without_classes_measures_consistency_with_the_sharp_prediction(tmp_path) -> None:
    from skimage import data

    (tmp_path / "photos").mkdir()
    for name in ("chelsea", "coffee"):
        Image.fromarray(getattr(data, name)()).save(tmp_path / "photos" / f"{name}.png")
    options = ["--conditions", "sharp,D2", "--out", tmp_path / "t.csv"]
    store = {"BLURPAPER_STORE": str(tmp_path / "store")}
    said = run(
        "evaluate",
        "--network",
        "efficientnet_lite0",
        "--images",
        tmp_path / "photos",
        *options,
        **store,
    )
    assert said.exit_code == 0, said.output
    rows = results.read(tmp_path / "t.csv")
    consistency = results.select(rows, metric="consistency").set_index("condition")["value"]
    assert consistency["sharp"] == 1.0
    assert set(rows["metric"]) == {"consistency", "entropy"}


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("blur . out --psf D2", "the images that were written are whole"),
        (
            "evaluate --network efficientnet_lite0 --images .",
            "give the same command again to go on",
        ),
    ],
)
def test_what_an_interrupt_says_is_true_of_the_verb(tmp_path, monkeypatch, line, kept) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("blurpaper.cli.files.blur", interrupted)
    monkeypatch.setattr("blurpaper.evaluation.folder.measure", interrupted)
    said = run(*line.split())
    assert said.exit_code == 130 and kept in said.output.splitlines()[-1]


def test_pictures_of_other_formats_in_a_folder_are_told_of(tmp_path) -> None:
    (tmp_path / "in").mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "in" / "a.png")
    for number in range(5):
        (tmp_path / "in" / f"{number}.GIF").write_bytes(b"GIF89a")
    said = run("blur", tmp_path / "in", tmp_path / "out", "--psf", "D2")
    assert said.exit_code == 0
    assert "passed over: 0.GIF, 1.GIF, 2.GIF and 2 more; save them as PNG or JPEG" in said.output


@pytest.mark.parametrize("fault", [ValueError("shapes differ"), RuntimeError("stack expects")])
def test_only_a_users_mistake_becomes_a_sentence(fault, monkeypatch) -> None:
    """A ``ValueError`` or ``RuntimeError`` of torch or numpy is a fault of ours: it is raised."""

    def broken(*_: object) -> None:
        raise fault

    monkeypatch.setattr("blurpaper.kernels.check_condition", broken)
    said = run("evaluate", "--network", "efficientnet_lite0", "--images", ".")
    assert said.exception is fault


def test_train_makes_a_segmentation_network_by_its_name(tmp_path) -> None:
    phases = "pretraining.phases=[{epochs: 1, rate: 0.01}]"
    few = ("emoji.train=64", "segmentation.scenes.train=16", phases)
    options = [word for field in few for word in ("-p", field)]
    store = {"BLURPAPER_STORE": str(tmp_path)}
    said = run("train", "segmentation:sharp-only", "--profile", "smoke", *options, **store)
    assert said.exit_code == 0, said.output
    assert f"segmentation:sharp-only is in {tmp_path}" in said.output
    kept = {path.parent.name.rpartition("-")[0] for path in tmp_path.glob("*/*/stamp.json")}
    segmenters = {f"small_vgg_{mix}.emoji-scenes" for mix in ("original", "sharp-only")}
    assert kept == {"emoji-train", "emoji-scenes-train", "small_vgg_original"} | segmenters


def test_published_weights_are_not_trained(tmp_path) -> None:
    said = run("train", "efficientnet_lite0", "--profile", "photos", BLURPAPER_STORE=str(tmp_path))
    assert said.exit_code == 0 and "nothing to train" in said.output
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("verb", ["blur", "deblur"])
@pytest.mark.parametrize("places", [("", "out"), ("in.png", "")])
def test_an_empty_name_is_not_the_current_folder(verb, places, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = run(verb, *places, "--psf", "D4")
    assert said.exit_code == 2 and "is empty: name a file or a folder" in said.output
    assert list(tmp_path.iterdir()) == []
