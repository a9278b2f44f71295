"""The smoke book, run and built as its user would, with warnings as errors; and that a chapter
which fails leaves nothing.
"""

import json
import os
import re
import subprocess
import sys
from importlib import import_module
from inspect import isclass, isfunction
from pathlib import Path
from pkgutil import iter_modules
from posixpath import join

import nbformat
import pandas as pd
import pytest
from alt_texts import check_alt_texts
from sphinx.util.inventory import InventoryFile

import blurpaper
from blurpaper import claims, experiments
from blurpaper.book import build, execution, publication
from blurpaper.evaluation import results
from blurpaper.experiments.measurements import Experiment
from blurpaper.experiments.sources import Committed
from blurpaper.runs import Run, files
from blurpaper.runs.profile import load
from blurpaper.runs.store import Store


@pytest.fixture(scope="module")
def publication_of_smoke(smoke_run, tmp_path_factory) -> tuple[Path, dict[str, pd.DataFrame]]:
    """Where `blurpaper publish` wrote the smoke run, and the rows of every experiment that it
    computed for it.
    """
    folder, computed = tmp_path_factory.mktemp("results"), {}
    compute = Experiment.__call__

    def noting(experiment: Experiment, run: Run) -> pd.DataFrame:
        computed[experiment.name] = compute(experiment, run)
        return computed[experiment.name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "RESULTS", folder)
        patch.setattr(Experiment, "__call__", noting)
        run = Run(load("smoke"), Store(smoke_run[1]))
        list(publication.publish(run, experiments.EXPERIMENTS))
    return folder, computed


@pytest.fixture
def computed(publication_of_smoke, monkeypatch) -> dict[str, pd.DataFrame]:
    """The rows of every experiment, while the published ones stand for the committed results."""
    folder, computed = publication_of_smoke
    monkeypatch.setattr(files, "RESULTS", folder)
    return computed


def pages(html: Path) -> dict[str, str]:
    return {
        path.stem: path.read_text(encoding="utf-8") for path in (html / "notebooks").glob("*.html")
    }


def test_every_chapter_is_a_page(smoke_run) -> None:
    assert set(pages(smoke_run[0])) == set(build.chapters())
    assert (smoke_run[0] / "index.html").is_file()


def test_no_page_needs_the_network(smoke_run) -> None:
    """Nothing that a browser fetches by itself comes from elsewhere; links may lead anywhere."""
    for path in smoke_run[0].rglob("*.html"):
        fetched = re.findall(
            r'<(?:script|img|iframe|source)[^>]*?\ssrc="([^"]*)"|<link[^>]*?\shref="([^"]*)"',
            path.read_text("utf-8"),
        )
        elsewhere = [a or b for a, b in fetched if re.match(r"(https?:)?//", a or b)]
        assert elsewhere == [], path
    assert (smoke_run[0] / "_static" / "mathjax" / "tex-chtml.js").is_file()


def test_the_reference_tells_of_what_a_module_offers_by_the_name_that_users_import(
    smoke_run,
) -> None:
    """The inventory that Sphinx writes for other books says what is where."""
    with (smoke_run[0] / "objects.inv").open("rb") as file:
        told = {name for names in InventoryFile.load(file, "", join).values() for name in names}
    for name in (one.name for one in iter_modules(blurpaper.__path__, "blurpaper.")):
        if name != "blurpaper.__main__":
            module = import_module(name)
            if hasattr(module, "__all__"):
                public = {one: getattr(module, one) for one in module.__all__}
            else:
                public = {
                    one: each
                    for one, each in vars(module).items()
                    if one[0] != "_" and getattr(each, "__module__", "") == name
                }
            offered = {
                f"{name}.{one}"
                for one, each in public.items()
                if (isfunction(each) or isclass(each)) and each.__doc__
            }
            assert name in told and offered <= told, offered - told


def test_every_figure_has_a_caption_that_names_its_run_and_a_text_for_those_who_cannot_see_it(
    smoke_run,
) -> None:
    found = 0
    for name, page in pages(smoke_run[0]).items():
        check_alt_texts(
            name,
            "".join(re.findall(r'<figure class="blurpaper">.*?</figure>', page, flags=re.DOTALL)),
        )
        once = len(re.findall(r'<p class="blurpaper-sources">[^\n]*profile smoke', page))
        assert once <= 1, name
        for figure in re.findall(r'<figure class="blurpaper">.*?</figure>', page, flags=re.DOTALL):
            found += 1
            assert once or "profile smoke" in figure, name
            assert "<figcaption>" in figure, name
    assert found >= 12


def test_table_1_shows_the_paper_beside_the_run(smoke_run, computed) -> None:
    page = pages(smoke_run[0])["02_pretrained"]
    assert "90.9" in page  # the paper's top-5 on sharp images at 256
    rows = results.select(computed["table1"], metric="top5")
    assert len(rows) == 12 * 4
    for value in rows["value"]:
        assert f"{100 * value:.1f}" in page


def test_results_have_unique_keys_and_intervals_around_their_values(computed) -> None:
    assert computed.keys() == experiments.EXPERIMENTS.keys()
    for rows in computed.values():
        assert not rows.duplicated(list(results.KEY)).any()
        bounded = rows[rows["low"].notna() & (rows["metric"] != "ece")]
        assert ((bounded["low"] <= bounded["value"]) & (bounded["value"] <= bounded["high"])).all()


def test_a_book_just_made_passes_its_check_and_its_claims_are_all_decided(smoke_run) -> None:
    environment = os.environ | {"BLURPAPER_STORE": str(smoke_run[1])}
    command = [sys.executable, "-m", "blurpaper", "check", "--profile", "smoke", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    ledger = json.loads(done.stdout)
    assert len(ledger) == len(claims.CLAIMS)
    for entry in ledger:
        assert set(entry["verdict"]) == {"paper", "photos", "this run"}
        assert entry["verdict"]["this run"] in claims.criteria.VERDICTS[:4], entry


def test_the_ledger_is_a_page_with_a_row_for_each_claim(smoke_run) -> None:
    page = pages(smoke_run[0])["09_claims"]
    assert all(f'id="{name}"' in page for name in claims.CLAIMS)
    for name in (
        "02_pretrained",
        "03_finetuning",
        "04_scales",
        "05_invariance",
        "06_deblurring",
        "07_segmentation",
        "08_second_model",
    ):
        page = pages(smoke_run[0])[name]
        assert 'id="claims-decided-here"' in page or 'class="blurpaper verdicts"' in page


def test_published_results_are_those_of_the_store_and_render_the_same(computed) -> None:
    ends = (
        ".csv",
        ".json",
        ".lock.txt",
        ".decisions.parquet",
        ".timings.csv",
        ".confusions.parquet",
        ".label_maps.npz",
    )
    written = {path.name for path in files.RESULTS.iterdir()}
    assert written == {f"smoke{end}" for end in ends}
    for name, rows in computed.items():
        if rows.empty:
            continue
        found = Committed(load("smoke")).rows(name)
        assert list(rows["metric"]) == list(found["metric"])
        assert found["value"].to_numpy() == pytest.approx(
            rows["value"].to_numpy(), rel=1e-6, nan_ok=True
        )


def test_table_6_can_be_counted_again_from_the_published_pixels(computed) -> None:
    """The IoU of a label by sums over true positives, its truth and its predictions."""
    pixels, rows = Committed(load("smoke")).confusions(), computed["table6"]
    assert pixels["image"].nunique() == load("smoke").segmentation.scenes.test
    checked = 0
    for (network, condition, region), group in pixels.groupby(
        ["network", "condition", "region"], observed=True
    ):
        wanted = results.select(
            rows, network=network, condition=condition, region=region, metric="miou"
        )["value"]
        if region in ("all", "boundary"):
            found = []
            for label in set(group["truth"]) | set(group["predicted"]):
                truth, given = (
                    group[group["truth"] == label]["pixels"].sum(),
                    group[group["predicted"] == label]["pixels"].sum(),
                )
                both = group[(group["truth"] == label) & (group["predicted"] == label)][
                    "pixels"
                ].sum()
                found.append(both / (truth + given - both))
            assert wanted.item() == pytest.approx(sum(found) / len(found))
            checked += 1
    assert checked == 3 * 5 * 2
    maps = Committed(load("smoke")).label_maps()
    assert {name.split(" ", 1)[1] for name in maps} == {"original sharp", "original D8", "mix D8"}
    assert all(one.shape in ((120, 160), (160, 120)) and one.max() < 20 for one in maps.values())


DRAWN = [chapter for chapter in build.chapters() if chapter < "20"]
OFTEN = {
    "emoji": ("04", "12"),
    "photos": ("02", "12"),
}
"""The chapters that other tests read; make test-all draws them all, and ``smoke`` from what it
computes.
"""


@pytest.mark.parametrize(
    ("name", "chapter"),
    [
        pytest.param(name, chapter, marks=() if chapter[:2] in often else pytest.mark.slow)
        for name, often in OFTEN.items()
        for chapter in DRAWN
    ],
)
def test_chapters_are_drawn_from_the_committed_results(name, chapter, published_chapter) -> None:
    _, executed = published_chapter(chapter, name)
    shown = "".join(str(output) for cell in executed.cells for output in cell.get("outputs", []))
    outputs = [
        output for cell in executed.cells for output in cell.get("outputs", []) if "data" in output
    ]
    check_alt_texts(chapter, "".join(output["data"].get("text/html", "") for output in outputs))
    # Which show no table of their own.
    assert "as committed" in shown or chapter == "15_play"
    if chapter[:2] in ("01", "02", "03", "04", "05", "06", "07", "08") and name == "emoji":
        # The published photographs stand beside the run.
        assert any(told in shown for told in (">photographs<", ">photos<", "photos:"))


def test_executed_chapters_hide_their_plumbing_and_have_no_error(smoke_run) -> None:
    source = build.build_folder(load("smoke")) / "source" / "notebooks"
    for chapter in build.chapters():
        notebook = nbformat.read(source / f"{chapter}.ipynb", as_version=4)
        for cell in notebook.cells:
            for output in cell.get("outputs", []):
                assert output.output_type != "error"
            if "injected-parameters" in cell.metadata.get("tags", []):
                assert "remove-cell" in cell.metadata["tags"]


def test_a_chapter_that_fails_is_an_error_and_leaves_no_page(tmp_path, monkeypatch, smoke) -> None:
    monkeypatch.setattr(build, "ROOT", tmp_path)
    monkeypatch.setattr(build, "NOTEBOOKS", tmp_path)
    (tmp_path / "00_bad.py").write_text(
        '# %% tags=["parameters"]\nprofile = ""\n\n# %%\nraise KeyError("no such blur")\n'
    )
    with pytest.raises(build.BookError, match="00_bad failed: KeyError: 'no such blur'"):
        execution.execute(
            "00_bad", execution.Edition(smoke, {}, "smoke", Store(tmp_path / "store"))
        )
    assert not list((tmp_path / "_build").rglob("source/**/*.ipynb"))
    with pytest.raises(build.BookError, match="not executed yet for profile smoke: 00_bad"):
        build.build(smoke)


def test_notebooks_are_percent_scripts_without_outputs() -> None:
    for path in build.NOTEBOOKS.iterdir():
        if path.is_file() and path.name != "jupytext.toml":
            assert path.suffix == ".py"
            assert '\n# %% tags=["parameters"' in path.read_text(encoding="utf-8")
