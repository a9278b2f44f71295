"""What a chapter shows: numbers, tables, figures and verdicts, one call each.

Caption, sources, n, a text for screen readers, and the rows as CSV come with it. What no source has
yet is said to be not yet published.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from IPython.display import HTML, display
from matplotlib.figure import Figure
from myst_nb import glue

from blurpaper import claims
from blurpaper.book import build, pictures, plots, tables
from blurpaper.book.chapter import Chapter
from blurpaper.book.style import inline
from blurpaper.claims.ledger import Entry
from blurpaper.data.examples import EXAMPLES
from blurpaper.evaluation import results
from blurpaper.experiments.measurements import DISKS
from blurpaper.experiments.sources import PAPER, Source, answers
from blurpaper.kernels import psf

NOT_PUBLISHED, NOT_REPORTED = "not yet published", "not reported"
"""Of a number that our runs do not have, and of one that the paper does not have."""


class Show:
    """Tables, figures, numbers and verdicts of a chapter."""

    def __init__(self, run: Chapter) -> None:
        self._run = run

    # --- Numbers and verdicts ---------------------------------------------------------------------

    def numbers(self, unit: str, **numbers: pd.DataFrame) -> None:
        """Print numbers of every source, and glue them for the prose.

        A number ``lost`` is there ``lost-paper``, ``lost-photographs`` and ``lost-run``.

        Args:
            unit: ``percent``, ``points`` of per cent, ``share`` of a loss, ``nats`` or ``ratio``.
            numbers: name -> what :meth:`Chapter.top5` gives, or differences and ratios of such.
        """
        rows = {name: self._glue_number(name, of, unit) for name, of in numbers.items()}
        print(pd.DataFrame.from_dict(rows, "index").to_string())

    def box(self, unit: str, claim: str = "", of: str = "table1", **number: pd.DataFrame) -> None:
        """Show a number of every source side by side, and glue it as :meth:`numbers` does.

        Args:
            claim: the id of a claim that it bears on, whose verdicts are shown with it.
            of: the experiment that names models, data and numbers of images; that of the claim if
                there is one.
        """
        ((name, found),) = number.items()
        self._glue_number(name, found, unit)
        tested = claims.CLAIMS[claim] if claim else None
        verdicts = self._verdicts(claim) if tested else {}
        rows = _by_source(self._run.table(tested.table if tested else of))
        tiles = []
        for title, number in found.items():
            value, interval = _text(number, unit)
            about = described(rows[title]) if title in rows and number.notna().any() else ""
            href, verdict = self._run.origin(title), verdicts.get(title)
            tiles.append((title, href, value, interval, verdict, about))
        name = name.replace("_", " ")
        display(HTML(tables.render("box.html", name=name, tiles=tiles, claim=tested)))

    def verdicts(self, *names: str) -> None:
        """Print the verdict of each source on some claims, and glue them for the prose.

        Args:
            names: ids of claims; a verdict is glued as ``ID-paper``, and so on.
        """
        rows = {name: self._verdicts(name) for name in names}
        for name, found in rows.items():
            self._glue(name, found)
        print(pd.DataFrame.from_dict(rows, "index").to_string())

    def claims(self, *of: str) -> None:
        """Show the claims that some tables and figures decide, with the verdict of each source;
        without any, every claim of the paper, in the order of the book.
        """
        entries = claims.ledger(self._run.source, of) if of else self._every_claim
        sources = list(self._run.places.items())
        shown = tables.render("verdicts.html", entries=entries, sources=sources, whole=not of)
        marks = ", ".join(f"{mark} {verdict}" for verdict, mark in tables.MARKS.items())
        which = "Claims decided here" if of else "Every claim"
        caption = (
            f"{which}: {marks}. Beside ?, about how many test images would decide. A click opens "
            "the criterion and the numbers."
        )
        rows = {self._run.places[name]: one for name, one in claims.tables(entries).items()}
        self._show(shown, caption, rows=rows)

    def matrix(self) -> None:
        """Show the verdict of each source on every claim as a mark that leads to the claim in the
        list of :meth:`claims`, and how many there are of each, which is glued as
        ``reproduced-paper``, ``not-run-run``, and so on.
        """
        groups: dict[str, list[Entry]] = {}
        for entry in self._every_claim:
            groups.setdefault(entry.claim.table, []).append(entry)
        counted = tables.counts(self._every_claim)
        for verdict in tables.MARKS:
            texts = {self._run.places[name]: str(of[verdict]) for name, of in counted.items()}
            self._glue(verdict.replace(" ", "-"), texts)
        sources = list(self._run.places.items())
        shown = tables.render("matrix.html", groups=groups, counts=counted, sources=sources)
        caption = "Verdicts on every claim, a mark a claim. A click on a mark leads to its claim."
        self._show(shown, caption)

    @cached_property
    def _every_claim(self) -> list[Entry]:
        """Every claim, in the order in which the book decides them."""
        entries = claims.ledger(self._run.source)
        return sorted(entries, key=lambda entry: build.page_of(entry.claim.table))

    def _verdicts(self, claim: str) -> dict[str, str]:
        """Verdicts on a claim by the titles of sources."""
        entries = claims.ledger(self._run.source, [claims.CLAIMS[claim].table])
        (entry,) = [one for one in entries if one.claim.id == claim]
        return {title: entry.findings[name].verdict for name, title in self._run.places.items()}

    def _glue_number(self, name: str, number: pd.DataFrame, unit: str) -> dict[str, str]:
        """Glue a number of every source, with its interval; the texts."""
        texts = {title: " ".join(_text(number[title], unit)).strip() for title in number}
        self._glue(name, texts)
        return texts

    def _glue(self, name: str, texts: Mapping[str, str]) -> None:
        for role, title in self._run.roles.items():
            glue(f"{name}-{role}", texts.get(title, NOT_PUBLISHED), display=False)

    # --- Tables and plots -------------------------------------------------------------------------

    def table(
        self,
        rows: pd.DataFrame,
        row: str = "network",
        column: str = "condition",
        columns: Sequence[str] = (),
        folded: str = "",
    ) -> None:
        """Show results as a table: a group of rows for each value of a column (and each metric, if
        there are several), in it a row a source.

        Args:
            rows: of :meth:`Chapter.table`.
            columns: the values of ``column`` that are shown, in order; all if empty.
            folded: a line that opens it; none if empty.

        Raises:
            ValueError: for more columns of numbers than the five that fit a page.
        """
        columns = list(columns or rows[column].unique())
        if len(columns) > 5:
            raise ValueError(f"a table has at most five columns of numbers. Got {columns}.")
        if rows.empty:
            return self._show_nothing()
        metrics = rows["metric"].unique()
        words = " and ".join("{} ({})".format(*tables.METRICS[one]) for one in metrics)
        caption = f"{words} by {row} and {column}; ± half the 95 % interval."
        shown = tables.grouped(rows, row, column, columns)
        return self._show(shown, caption, folded=folded, rows=_by_source(rows))

    def curves(
        self,
        rows: pd.DataFrame,
        by: str = "network",
        against: str = "condition",
        folded: str = "",
    ) -> None:
        """Plot one metric against defocus, or against another column: a panel a source, all on one
        scale, a line for each value of a column.

        Args:
            against: the column; a line whose rows have no value in it is level.
            folded: a line that opens it; none if empty.
        """
        if rows.empty:
            return self._show_nothing()
        (metric,) = rows["metric"].unique()
        name, unit = tables.METRICS[metric]
        frames, label = _by_source(rows), f"{name}, {unit}"
        places = plots.places_of(frames, against)
        words = plots.in_words(frames, by, places, against, percents=unit == "%")
        defocus = "defocus (radius in pixels of an image whose smaller side is 384)"
        along = defocus if against == "condition" else against
        return self._show(
            plots.curves(frames, by, label, against),
            f"{name} against {along}, by {by}. Bands: 95 % intervals.",
            f"Lines of {label}, against {along}, a panel a source and a line a {by}. {words}",
            folded,
            frames,
        )

    def risk_coverage(self, network: str = "original", folded: str = "") -> None:
        """Plot the share of wrong predictions among the most confident against the share kept, for
        each degree of defocus: a panel a source of decisions (Sec. 1's suggestion).

        Args:
            folded: a line that opens it; none if empty.
        """

        def decisions(source: Source) -> pd.DataFrame:
            of = {"model": source.profile.model, "network": network, "data": source.test_set}
            return source.decisions(**of, scale="256", input=results.AS_IS)

        found = answers(self._run.sources.values(), decisions)
        if not found:
            return self._show_nothing()
        frames, wrong = {self._run.places[name]: one for name, one in found.items()}, []
        for title, frame in frames.items():
            shares = (frame["rank"] >= 1).groupby(frame["condition"], observed=True).mean()
            told = (f"{one} {tables.rounded(100 * shares[one], 1)} %" for one in DISKS)
            wrong.append(f"{title}: {', '.join(told)}")
        return self._show(
            plots.risk_coverage(frames, DISKS),
            "Error (top-1) among the predictions kept, as only the most confident are kept. "
            "Bands: 95 % intervals.",
            "Curves of the share of wrong predictions against the share kept, a curve for each "
            f"degree of defocus. If all are kept: {'; '.join(wrong)}.",
            folded,
        )

    def by_label(self, rows: pd.DataFrame, folded: str = "") -> None:
        """Plot the IoU of each label, sharp and under D8: a panel a source.

        Args:
            folded: a line that opens it; none if empty.
        """
        if rows.empty:
            return self._show_nothing()
        sources = _by_source(rows)
        originals = {title: results.select(of, network="original") for title, of in sources.items()}
        ends = plots.in_words(originals, "region", ("sharp", "D8"))
        return self._show(
            plots.iou_by_label(sources, "D8"),
            "IoU of each label: of the original, sharp and under D8, and of the mix under D8. "
            "Bars: 95 % intervals over scenes.",
            f"Points of the IoU of each label, with the values of the original. {ends}",
            folded,
            sources,
        )

    # --- Pictures ---------------------------------------------------------------------------------

    def psfs(self, *names: str) -> None:
        """Show PSFs side by side, as the paper's Figure 2 does."""
        caption = "PSFs on one pixel grid, each scaled to its own maximum (Figure 2)."
        sizes = (f"{name} of {' × '.join(map(str, psf(name).shape))}" for name in names)
        alt = f"Grey-scale arrays of PSFs: {', '.join(sizes)} pixels."
        self._show(pictures.psfs(names), caption, alt)

    def pictures(self, images: Mapping[str, torch.Tensor], columns: int = 5) -> None:
        """Show images beside one another, each under its title.

        Args:
            images: title -> an image, uint8 ``(3, H, W)``, or a map of shares, ``(h, w)``.
            columns: how many fit a page beside one another.
        """
        drawn = pictures.gallery(list(images.values()), list(images), columns)
        maps = [one.ndim == 2 for one in images.values()]
        caption = "Maps are black at 0, and brightest from a half on. " * any(maps)
        thanks = "Photographs: " + "; ".join(one.source for one in EXAMPLES) + "."
        thanks *= not all(maps)
        alt = "; ".join(" ".join(title.split()) for title in images)
        alt = f"Pictures that the code above makes, with their titles: {alt}."
        self._show(drawn, caption + thanks, alt)

    def figure(self, name: str, folded: str = "") -> None:
        """Show a figure of the paper that consists of pictures: ``figure1``, ``figure3`` or
        ``figure5``.

        Args:
            folded: a line that opens it; none if empty.
        """
        # Scenes are shown of every source, images of this run alone.
        of = self._run.sources.values() if name == "figure5" else [self._run.source]
        drawn = answers(of, pictures.FIGURES[name])
        if not drawn:
            self._show_nothing()
        for number, one in enumerate(drawn.values()):
            self._show(*one, "More scenes" if number else folded)

    # --- Provenance -------------------------------------------------------------------------------

    def provenance(self, role: str) -> None:
        """Show what the numbers of a source were made from.

        Args:
            role: ``paper``, ``photographs`` or ``run``.
        """
        title, of_run = self._run.roles[role], self._run.roles["run"]
        if role != "run" and title == of_run:
            display(HTML("<p>This run is the one on photographs.</p>"))
        elif title == PAPER:
            display(HTML(tables.paper()))
        else:
            overrides = self._run.overrides if role == "run" else {}
            display(HTML(tables.provenance(self._run.sources[title], overrides)))

    @staticmethod
    def _show_nothing() -> None:
        display(HTML(f"<p>{NOT_PUBLISHED.capitalize()}.</p>"))

    def _show(
        self,
        shown: str | Sequence[Figure],
        caption: str,
        alt: str = "",
        folded: str = "",
        rows: Mapping[str, pd.DataFrame] | None = None,
    ) -> None:
        """Give out HTML or plots with their caption, rows by source, and where these are from."""
        shown = shown if isinstance(shown, str) else "".join(map(inline, shown))
        rows = rows or {}
        sources = [
            (title, self._run.origin(title), f": {described(one)}")
            for title, one in rows.items()
            if "model" in one
        ]
        caption = caption[:1].upper() + caption[1:]
        values = {"caption": caption, "alt": alt, "folded": folded, "sources": sources}
        values["rows"] = tables.download(rows) if rows else None
        display(HTML(tables.render("figure.html", shown=shown, **values)))


def _by_source(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    parts = rows.groupby("source", sort=False)
    return {str(title): one.drop(columns="source") for title, one in parts}


def _text(number: pd.Series, unit: str) -> tuple[str, str]:
    """A number of a source and its interval, or why there is none."""
    if np.isfinite(number.iloc[0]):
        return tables.said(number.dropna(), unit)
    if number.notna().any():
        return "no share of so small a loss", ""
    return (NOT_REPORTED if number.name == PAPER else NOT_PUBLISHED), ""


def described(rows: pd.DataFrame) -> str:
    """Models, data and number of images of some rows, such as ``vgg16 on imagenet, n = 50,000``."""
    pairs = dict.fromkeys(zip(rows["model"], rows["data"], strict=True))
    words = " and ".join(f"{model} on {name}" for model, name in pairs)
    return words + (f", n = {rows['n'].min():,}" if rows["n"].notna().any() else "")
