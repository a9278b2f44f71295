"""The numbers of a chapter, from every source.

A notebook begins with ``run, show = begin(profile, overrides, published)``. ``run`` gives tidy
tables, and numbers with their resamples over images, which can be subtracted and divided;
``show`` draws them (:mod:`blurpaper.book.show`).
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache
from types import TracebackType
from typing import TYPE_CHECKING, Any

import pandas as pd
from IPython import get_ipython

from blurpaper.book import build
from blurpaper.book.tables import ANCHORS, render
from blurpaper.claims import Evidence
from blurpaper.claims.evidence import NotMeasuredError
from blurpaper.evaluation import results
from blurpaper.experiments import EXPERIMENTS
from blurpaper.experiments.fine_tuning import LEAST_LOSS
from blurpaper.experiments.sources import (
    PAPER,
    PHOTOS,
    RUN,
    MissingError,
    Paper,
    Source,
    ours,
    this_run,
)
from blurpaper.runs import profile as profiles
from blurpaper.runs.devices import keep_freed_memory
from blurpaper.runs.files import UserError

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from blurpaper.book.show import Show

PARAMETERS = ("profile", "overrides", "published")
"""Parameters of every chapter."""
PHOTOGRAPHS = "photographs"
"""The title of the photographs, whether they are published or this run's."""


def begin(
    profile: str, overrides: Mapping[str, Any] | None = None, published: bool = False
) -> tuple[Chapter, Show]:
    """The numbers of a chapter, and what shows them.

    Args:
        profile: its name, or the path of its file.
        overrides: dotted fields of the profile -> values in their place.
        published: take the committed results of the profile, and compute nothing.

    Raises:
        UserError: for an unknown profile, field or parameter. In a notebook it is shown as a
            sentence, without a traceback.
    """
    from blurpaper.book.show import Show

    prepare()
    run = Chapter(profile, overrides, published)
    return run, Show(run)


def prepare() -> None:
    """Make this process ready for a chapter, and look at its parameters if it is a notebook's."""
    if shell := get_ipython():
        shell.set_custom_exc((UserError,), _show_sentence)
        check_parameters(shell.user_ns.get("In", ()))
    keep_freed_memory()
    # timm's downloader warns that it cannot draw widgets; it has nothing to download here.
    warnings.filterwarnings("ignore", message="IProgress not found")


def check_parameters(cells: Iterable[str]) -> None:
    """Refuse parameters that no chapter has, which papermill puts into a notebook all the same.

    Args:
        cells: the code that was executed so far; papermill's begins with ``# Parameters``.

    Raises:
        UserError: naming the first of them.
    """
    for cell in cells:
        if not cell.startswith("# Parameters\n"):
            continue
        for node in ast.walk(ast.parse(cell)):
            stored = isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
            if stored and node.id not in PARAMETERS:
                raise UserError(
                    f"a chapter has the parameters {', '.join(PARAMETERS)}, and none named "
                    f"{node.id!r}; a field of the profile is set in overrides, as in "
                    f"-y 'overrides: {{{node.id}: 1}}'."
                )


def _show_sentence(
    shell: InteractiveShell,
    kind: type[BaseException],
    error: BaseException,
    traceback: TracebackType,
    tb_offset: int | None = None,
) -> list[str]:
    lines = [f"{kind.__name__}: {error}"]
    shell._showtraceback(kind, error, lines)
    return lines


# --- Numbers --------------------------------------------------------------------------------------


class Chapter:
    """The numbers of a chapter, from the paper, the published photographs and this run.

    Attributes:
        profile: that of this run, resolved.
        sources: by the titles that readers see.
        places: names of sources, as the ledger has them -> titles.
        roles: what a glued number's name ends in -> the title whose number it is.

    >>> run = Chapter("emoji", published=True)
    >>> list(run.sources)
    ['paper', 'photographs', 'embedded data']
    >>> table1 = run.table("table1", metric="top5", scale="256", condition="D8")
    >>> table1.set_index("source")["value"]["paper"]
    np.float64(0.6097)
    >>> lost = run.top5() - run.top5(condition="D8")
    >>> round(float(lost["paper"][0]), 4)
    0.2991
    """

    def __init__(
        self, profile: str, overrides: Mapping[str, Any] | None = None, published: bool = False
    ) -> None:
        self.profile = profiles.load(profile, overrides)
        self.overrides, self.published = dict(overrides or {}), published
        self.source = this_run(self.profile, published)
        self.sources = {title_of(one): one for one in (Paper(), *ours(self.source))}
        self.places = {one.name: title for title, one in self.sources.items()}
        self.roles = {"paper": PAPER, "photographs": PHOTOGRAPHS, "run": self.places[RUN]}
        self._evidence = cache(lambda title, labelled: Evidence(self.sources[title], labelled))

    def table(self, experiment: str, whole: bool = False, **values: object) -> pd.DataFrame:
        """Results of an experiment as a tidy table: a row a number, its ``source`` first.

        Of our runs it has the rows of :func:`headline`. A network is named as profiles name it,
        such as ``mix/agreement``. Columns without a value are left out.

        Args:
            whole: every row.
            values: columns -> the value, or a list of values, to select.

        Raises:
            UserError: for an unknown experiment.
        """
        if experiment not in EXPERIMENTS:
            raise UserError(f"an experiment is one of {', '.join(EXPERIMENTS)}. Got {experiment}.")
        frames = {}
        for title, one in self.sources.items():
            with suppress(MissingError):
                rows = one.rows(experiment)
                rows = rows if whole else headline(rows, one)
                recipe = rows["recipe"].where(~rows["recipe"].isin(["", "labels"]), "")
                name = (rows["network"] + "/" + recipe).str.removesuffix("/")
                frames[title] = results.select(rows.assign(network=name), **values)
        if not frames:
            return pd.DataFrame(columns=["source", *results.COLUMNS])
        found = pd.concat(frames, names=["source"]).reset_index(level=0).reset_index(drop=True)
        unused = [column for column in found if len(found) and (found[column] == "").all()]
        return found.drop(columns=unused)

    def top5(
        self, network: str = "original", condition: str = "sharp", **columns: str
    ) -> pd.DataFrame:
        """Top-5 accuracy of a network under a condition, at scale 256 if no other is given: a
        column a source, the first row the value, the others its resamples over images.

        They are paired, so that differences and ratios of such tables have the right intervals.

        Args:
            network: a mix, or MIX/RECIPE.
            columns: others of a result, such as ``scale``; ``model="second"`` is the second model
                of each source (Table A).
        """
        return self.number("top5", network, condition, **columns)

    def number(
        self, metric: str, network: str, condition: str, labelled: int = 0, **columns: str
    ) -> pd.DataFrame:
        """The same for any metric of the results; for example ``entropy``, in nats, or ``miou``,
        over all pixels if no other ``region`` is given.

        Args:
            labelled: of networks that were fine-tuned on so many images a class of the set of the
                profile's ``density``, on its test images; 0 stands for the profile's own sets.
        """
        if metric == "miou":
            columns = {"experiment": "table6", "scale": "384", "region": "all"} | columns
        columns = {"scale": "256"} | columns
        if metric not in ("top1", "top5"):
            columns = {"experiment": "table2"} | columns
        found = {}
        for title in self.sources:
            one = self._evidence(title, labelled)
            second = {"model": one.second_model} if columns.get("model") == "second" else {}
            with suppress(NotMeasuredError):
                found[title] = pd.Series(one.number(metric, network, condition, **columns | second))
        return pd.DataFrame(found, columns=list(self.sources), dtype=float)

    def recovered(
        self,
        network: str,
        condition: str = "D8",
        treatment: str = results.AS_IS,
        metric: str = "top5",
        **columns: str | int,
    ) -> pd.DataFrame:
        """Share of the original's loss of a metric under a blur that a network recovers, as
        :meth:`number` gives it; its value is nan where the loss is smaller than 5 points.

        Args:
            treatment: of the images that the network is given, such as ``epll``.
        """
        before = self.number(metric, "original", condition, **columns)
        lost = self.number(metric, "original", "sharp", **columns) - before
        treated = self.number(metric, network, condition, **{"input": treatment} | columns)
        share = (treated - before) / lost
        share.loc[0, lost.iloc[0] < LEAST_LOSS] = float("nan")
        return share

    def origin(self, title: str) -> str:
        """The link to the provenance of a source."""
        return build.page_of(ANCHORS[self.sources[title].name])

    def _repr_html_(self) -> str:
        changed = "".join(f", {name} = {value}" for name, value in self.overrides.items())
        about = f"profile {self.profile.name}{changed}" + ", as committed" * self.published
        links = [(title, self.origin(title)) for title in self.sources]
        return render("sources.html", sources=links, about=about)


def title_of(source: Source) -> str:
    """The name of a source for readers."""
    if source.name == PAPER:
        return PAPER
    if source.profile.name == PHOTOS:
        return PHOTOGRAPHS
    return "embedded data" if source.profile.train_set == "emoji" else source.profile.name


def headline(rows: pd.DataFrame, source: Source) -> pd.DataFrame:
    """Results of one model on a run's first test set, or its scenes, or whatever set an experiment
    has instead; over all seeds where there are several, else with the first.
    """
    sets = [source.test_set, source.profile.segmentation.data, ""]
    sets = sets if rows["data"].isin(sets).any() else list(rows["data"].unique())
    rows = results.select(rows, data=sets, seed=["", "0", "all"])
    rows = results.select(rows, model=list(rows["model"].unique()[:1]))
    same = [column for column in results.KEY if column != "seed"]
    # Each stands where its first seed did.
    place = rows.groupby(same, sort=False, dropna=False).ngroup()
    rows = rows.assign(place=place, one_seed=rows["seed"] != "all")
    rows = rows.sort_values(["place", "one_seed"], kind="stable").drop_duplicates("place")
    return rows.drop(columns=["place", "one_seed"])
