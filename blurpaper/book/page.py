"""The page of a chapter: its run, figures and tables with captions, and sentences with computed
numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from IPython.display import HTML, Markdown, display

from blurpaper.book import build
from blurpaper.book.chapter import prepare
from blurpaper.book.tables import ANCHORS, claims_table, download, render, rounded
from blurpaper.evaluation import results
from blurpaper.experiments.sources import PHOTOS, RUN, Paper, Source, answers, ours, this_run
from blurpaper.runs import profile as profiles

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure

_IN_PROSE = re.compile(rf"(?<![\w*])\*({'|'.join(ANCHORS)})\*(?![\w*])")


_CLAIMS_HERE = (
    "The paper's claims that this chapter decides, and what each source says of them; how that "
    "comes about, the chapter on the claims explains."
)


class Page:
    """One chapter of one run; notebooks begin with ``page = Page(profile, overrides, published)``.

    Attributes:
        profile: the resolved profile.
        source: where its numbers come from: its store, or the committed results if ``published``.

    >>> Page("smoke", {"seed": 3}).run
    'profile smoke, seed = 3'
    >>> page = Page("emoji", published=True)
    >>> table1 = page.sources("table1", metric="top5", scale="256", condition="D8")
    >>> list(table1), table1["paper"]["value"].item()
    (['paper', 'photos', 'this run'], 0.6097)
    """

    def __init__(
        self, profile: str, overrides: Mapping[str, Any] | None = None, published: bool = False
    ) -> None:
        prepare()
        self.profile = profiles.load(profile, overrides)
        self.overrides = dict(overrides or {})
        self.source = this_run(self.profile, published)
        changed = "".join(f", {name} = {value}" for name, value in self.overrides.items())
        self.run = f"profile {self.profile.name}{changed}" + (", as committed" if published else "")

    def sources(self, experiment: str, **values: object) -> dict[str, pd.DataFrame]:
        """Results of an experiment in the paper, in the published run on photographs and in this
        run, by source; of our runs, on the first test set, among all classes, with the first seed.
        """

        def ask(one: Source) -> pd.DataFrame:
            return results.select(foremost(one.rows(experiment), one.profile), **values)

        found = answers([Paper(), *ours(self.source)], ask)
        return {name: frame for name, frame in found.items() if not frame.empty}

    def ours(self, experiment: str) -> dict[str, pd.DataFrame]:
        """All results of an experiment in the published run on photographs and in this run."""
        return answers(ours(self.source), lambda one: one.rows(experiment))

    def photographs(self, experiment: str) -> pd.DataFrame | None:
        """Results on photographs, of this run if it is on photographs, else the published ones;
        None if there are none.
        """
        photos = [one for one in ours(self.source) if one.profile.name == PHOTOS]
        return next(iter(answers(photos, lambda one: one.rows(experiment)).values()), None)

    def label_maps(self) -> dict[str, dict[str, np.ndarray]]:
        """The label maps ``(H, W)`` of the scenes shown (Fig. 5), of the published run on
        photographs and of this run.
        """
        return answers(ours(self.source), lambda one: one.label_maps())

    def figure(
        self,
        figure: Figure | Sequence[Figure],
        caption: str,
        alt: str,
        sources: Iterable[str] = (),
        photographs: bool = False,
    ) -> None:
        """Show a plot, or several beside one another, as vector graphics in the colours of the
        page, light or dark.

        Args:
            caption: a description; the run and the ``sources`` are added, with links to their
                provenance.
            alt: a text for screen readers.
            photographs: smooth the images in it where they are enlarged.
        """
        from blurpaper.book.figures.style import inline

        plots = figure if isinstance(figure, Sequence) else [figure]
        drawn = "".join(inline(one, photographs) for one in plots)
        self._show(drawn, caption, [(one, self._origin(one), "") for one in sources], alt)

    def photograph(
        self, figure: Figure | Sequence[Figure], caption: str, alt: str, sources: Iterable[str] = ()
    ) -> None:
        """Show plots that hold photographs; its arguments are those of :meth:`figure`."""
        self.figure(figure, caption, alt, sources, photographs=True)

    def table(
        self,
        html: str,
        caption: str,
        sources: Mapping[str, pd.DataFrame] | None = None,
        of: str | None = None,
    ) -> None:
        """Show a table, which may be wider than the page, with its caption, and its rows as CSV.

        Args:
            sources: heading -> rows that it shows: named by model and data, linked to their
                provenance, and offered as CSV.
            of: the source of all of them, if the headings are not names of sources.
        """
        sources = sources or {}
        self._show(
            html,
            caption,
            [(one, self._origin(of or one), _data_of(rows)) for one, rows in sources.items()],
            rows=download(sources) if sources else None,
        )

    def claims(self, *tables: str) -> None:
        """Show the paper's claims that some tables and figures decide."""
        from blurpaper import claims

        entries = claims.ledger(self.source, tables)
        shown = claims_table(entries, build.page_of)
        self.table(shown, _CLAIMS_HERE, claims.tables(entries))

    def say(self, text: str) -> None:
        """Show prose with numbers in it, as Markdown; the ``*name*`` of a source becomes a link to
        its provenance.
        """
        link = '<em><a href="{}">{}</a></em>'
        shown = _IN_PROSE.sub(lambda one: link.format(self._origin(one[1]), one[1]), text)
        display(Markdown(shown))

    def _show(
        self,
        shown: str,
        caption: str,
        sources: list[tuple[str, str, str]],
        alt: str = "",
        rows: Mapping[str, Any] | None = None,
    ) -> None:
        run = self.run, self._origin(RUN)
        values = {"caption": caption, "sources": sources, "alt": alt, "rows": rows, "run": run}
        values["folded"] = ""
        display(HTML(render("figure.html", shown=shown, **values)))

    def _origin(self, source: str) -> str:
        """The link to the provenance of a source, if it is one; a run on photographs has one place
        for both.
        """
        if source == PHOTOS == self.profile.name:
            source = RUN
        return build.page_of(ANCHORS[source]) if source in ANCHORS else ""


def _data_of(rows: pd.DataFrame) -> str:
    """Models and data of some rows, to follow the name of their source; empty without a model."""
    if "model" not in rows or not rows["model"].any():
        return ""
    pairs = dict.fromkeys(zip(rows["model"], rows["data"], strict=True))
    return ": " + " and ".join(f"{model} on {data}" for model, data in pairs)


def foremost(rows: pd.DataFrame, profile: profiles.Profile) -> pd.DataFrame:
    """Results of one model on a run's first test set (or its scenes), among all classes, with the
    first seed.
    """
    rows = results.select(
        rows, data=[profile.evaluation.test_sets[0], profile.segmentation.data], seed=["", "0"]
    )
    rows = results.select(rows, model=list(rows["model"].unique()[:1]))
    widest = max(rows["classes"].unique(), key=lambda classes: int(classes or 0), default="")
    return results.select(rows, classes=["", widest])


def percent(value: float, digits: int = 1) -> str:
    """A share in per cent, for prose.

    >>> percent(0.1234)
    '12.3 %'
    """
    return f"{rounded(100 * value, digits)} %"


def with_interval(row: pd.Series, percents: bool = True, unit: str = " %") -> str:
    """A result with its 95 % interval, for prose; ``unit`` follows a share, `` points`` for a
    difference of two.

    >>> import pandas as pd
    >>> with_interval(pd.Series({"value": 0.5, "low": 0.4, "high": 0.6}))
    '50.0 % (40.0 to 60.0)'
    """
    scale, unit, digits = (100, unit, 1) if percents else (1, "", 2)
    numbers = (float(row[name]) for name in ("value", "low", "high"))
    value, low, high = (rounded(scale * one, digits) for one in numbers)
    interval = "interval not known" if low == "nan" else f"{low} to {high}"
    return f"{value}{unit} ({interval})"


def points(share: float) -> str:
    """A difference of two shares, in points of per cent, for prose.

    >>> points(-0.021)
    '−2.1 points'
    """
    return f"{rounded(100 * share, 1)} points"
