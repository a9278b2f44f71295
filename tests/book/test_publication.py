"""Experiments published apart: each publication replaces what it has, and leaves the others."""

import json
from functools import partial

import pandas as pd
import pytest
import torch
from click.testing import CliRunner

from blurpaper import data, experiments
from blurpaper.book import check, publication
from blurpaper.cli import main
from blurpaper.evaluation import results
from blurpaper.experiments.sources import Committed, Computed, Source
from blurpaper.runs import Run, files, profile, store
from blurpaper.runs.files import UserError
from blurpaper.runs.store import Artifact, Store

NETWORK = {
    "model": "m",
    "train_scale": "",
    "recipe": "",
    "seed": "0",
    "input": "as is",
    "parameter": "",
}
MEASURED = {"table1": ["original"], "table2": ["original", "mix"], "table3": ["mix"]}
"""Networks of which each made-up experiment needs decisions."""


def numbers(value: float) -> dict[str, torch.Tensor]:
    return {"value": torch.tensor([value])}


numbers.__module__ = "blurpaper.runs.randomness"


class Made:
    """Made-up experiments on a store: one artifact of each, and one that two of them share."""

    def __init__(self, root) -> None:
        self.store, self.value, self.settings = Store(root), 1.0, profile.load("smoke")

    def rows(self, name, run):
        for own in (name, "shared") if name != "table3" else (name,):
            inputs = {"name": own} | ({"value": self.value} if own != "shared" else {})
            compute = partial(numbers, self.value)
            run.store.get(Artifact("draws", own, inputs, compute))
        for one in MEASURED[name]:
            yield NETWORK | {"network": one, "metric": "top1"} | self.images | {"value": self.value}

    @property
    def images(self):
        return {"data": self.settings.evaluation.test_sets[0]}

    def decisions(self, computed):
        networks = dict.fromkeys(one for name in computed._experiments for one in MEASURED[name])
        return pd.DataFrame(
            [NETWORK | {"network": one, "rank": self.value} | self.images for one in networks]
        )

    def measured(self, _, names):
        for name in names:
            for one in MEASURED[name]:
                yield None, "as is", NETWORK | {"network": one} | self.images

    def publish(self, *names):
        return list(publication.publish(Run(self.settings, Store(self.store.root)), names))


@pytest.fixture
def made(tmp_path, monkeypatch) -> Made:
    made = Made(tmp_path / "store")
    monkeypatch.setattr(files, "RESULTS", tmp_path / "results")
    named = {
        name: experiments.Experiment(name, lambda _: [], partial(made.rows, name))
        for name in MEASURED
    }
    for one in named.values():
        one.rows.__module__ = "blurpaper.experiments.recognition"
    monkeypatch.setattr(experiments, "EXPERIMENTS", named)
    monkeypatch.setattr(
        Computed, "decisions", made.decisions.__func__ and (lambda c: made.decisions(c))
    )
    monkeypatch.setattr(publication, "measured", made.measured)
    return made


def values() -> dict[str, float]:
    rows = results.read(files.RESULTS / "smoke.csv")
    return dict(zip(rows["experiment"], rows["value"], strict=True))


def publications() -> list[dict]:
    return json.loads((files.RESULTS / "smoke.json").read_text())


def test_a_publication_replaces_its_experiments_and_leaves_the_others(made, monkeypatch) -> None:
    made.publish("table1", "table2", "table3")
    assert values() == {"table1": 1, "table2": 1, "table3": 1}
    made.value = 2.0
    commit = {**store.surroundings(), "commit": "another", "device": "another machine"}
    monkeypatch.setattr(store, "surroundings", lambda: commit)
    made.publish("table2")
    assert values() == {"table1": 1, "table2": 2, "table3": 1}
    old, new = publications()
    assert (old["experiments"], new["experiments"]) == (["table1", "table3"], ["table2"])
    assert {one["commit"] for one in new["artifacts"] if one["name"] == "table2"} == {"another"}
    assert "another" not in {one["commit"] for one in old["artifacts"]}
    made.publish("table1", "table3")
    assert [one["experiments"] for one in publications()] == [["table2"], ["table1", "table3"]]
    assert values() == {"table1": 2, "table2": 2, "table3": 2}


def test_an_artifact_of_several_experiments_stands_once_with_its_seconds(made) -> None:
    made.publish("table1")
    made.publish("table2")
    made.publish("table3")
    of = {one["name"]: one["experiments"] for each in publications() for one in each["artifacts"]}
    assert of == {
        "shared": ["table2", "table1"],
        **{name: [name] for name in MEASURED},
    }
    stamps = Committed(made.settings).origin().stamps
    assert sorted(one["name"] for one in stamps) == sorted(of)
    assert all(one["seconds"] is not None for one in stamps)
    made.publish("table2")
    again = {
        one["name"]: one["experiments"] for each in publications() for one in each["artifacts"]
    }
    assert again == of


def test_decisions_follow_their_experiments(made) -> None:
    made.publish("table1", "table2", "table3")
    made.value = 2.0
    made.publish("table3")
    found = pd.read_parquet(files.RESULTS / "smoke.decisions.parquet")
    assert dict(zip(found["network"], found["rank"], strict=True)) == {"original": 1, "mix": 2}
    made.publish("table1", "table3", "table2")
    found = pd.read_parquet(files.RESULTS / "smoke.decisions.parquet")
    assert sorted(found["rank"]) == [2, 2]


def test_other_test_images_leave_those_that_the_others_were_counted_from(made) -> None:
    made.publish("table1", "table2", "table3")
    made.settings = profile.load("smoke", {"evaluation.test_sets": ["imagewoof"]})
    made.publish("table3")
    found = pd.read_parquet(files.RESULTS / "smoke.decisions.parquet")
    assert set(zip(found["network"], found["data"], strict=True)) == {
        ("original", "emoji"),
        ("mix", "emoji"),
        ("mix", "imagewoof"),
    }
    assert Committed(made.settings).test_set == "emoji"
    made.publish("table1", "table2")
    found = pd.read_parquet(files.RESULTS / "smoke.decisions.parquet")
    assert set(found["data"]) == {"imagewoof"}
    assert Committed(made.settings).test_set == "imagewoof"


def test_without_names_what_the_store_has_in_full_is_published_and_nothing_computed(made) -> None:
    with pytest.raises(UserError, match="no experiment of profile smoke in full; compute some by"):
        made.publish()
    assert not made.store.names() and not files.RESULTS.exists()
    publication.compute("table3", Run(made.settings, made.store))
    Store(made.store.root).get(
        Artifact("draws", "table1", {"name": "table1", "value": 1.0}, partial(numbers, 1.0))
    )
    kept = made.store.names()
    made.publish()  # the first lacks what it shares with the second
    assert values() == {"table3": 1} and made.store.names() == kept


def test_what_is_stale_is_told_by_publication(made, monkeypatch) -> None:
    made.publish("table1")
    assert check.stale(made.settings) == []
    made.settings = profile.load("smoke", {"protocol.canonical": 99})
    made.publish("table2")
    (said,) = check.stale(made.settings)
    assert said == (
        "profile smoke has changed since results/smoke.csv (table1) was made (protocol.canonical); "
        "run `blurpaper publish --profile smoke --experiments table1`"
    )
    monkeypatch.setattr(check.fingerprint, "hash_of", lambda _: "other")
    assert [one.partition(" is older")[0] for one in check.stale(profile.load("smoke"))] == [
        "results/smoke.csv (table1)",
        "results/smoke.csv (table2)",
        "profile smoke has changed since results/smoke.csv (table2) was made (protocol.canonical); "
        "run `blurpaper publish --profile smoke --experiments table2`",
    ]


def test_training_images_are_those_counted_when_they_were_published(made, monkeypatch) -> None:
    """Even if the data folder holds others, or none, where the results are read."""
    emoji, scenes = made.settings.emoji, made.settings.segmentation.scenes
    labels = len(data.labels_of("emoji-scenes"))
    expected = [emoji.train / emoji.classes, scenes.train / labels]
    made.publish("table1")
    monkeypatch.setattr(Source, "_count", lambda *_: 1)
    committed = Committed(made.settings)
    assert [committed.labelled(one) for one in (False, True)] == pytest.approx(expected)
    about = publications()[0] | {"labelled": [350.0, 60.0]}
    (files.RESULTS / "smoke.json").write_text(json.dumps([about]))
    assert [committed.labelled(one) for one in (False, True)] == [350, 60]


@pytest.mark.parametrize("verb", ["run", "publish"])
def test_an_experiment_that_is_not_known_is_named(verb) -> None:
    said = CliRunner().invoke(main, [verb, "--experiments", "table1,table9"])
    assert said.exit_code == 2
    assert "an experiment is one of table1, " in said.output and "Got 'table9'" in said.output


def test_some_experiments_are_computed_without_chapters(made, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("BLURPAPER_STORE", str(tmp_path / "store"))
    arguments = ["run", "--profile", "smoke", "--experiments", "table3,table1"]
    said = CliRunner().invoke(main, arguments)
    assert (said.exit_code, said.output) == (0, "[table1] 1 rows\n[table3] 1 rows\n")
    assert {one.rpartition("-")[0] for one in made.store.names()} == {
        "draws/table1",
        "draws/table3",
        "draws/shared",
    }
