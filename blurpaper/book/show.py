"""What a chapter shows: numbers, tables, figures and verdicts, one call each.

Caption, sources, n, a text for screen readers, and the rows as CSV come with it. What no source has
yet is said to be not yet published.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from IPython.display import HTML, display
from myst_nb import glue

from blurpaper import claims, data
from blurpaper.book import build, figures
from blurpaper.book.chapter import Chapter
from blurpaper.book.figures.style import inline
from blurpaper.book.tables import (
    LEDGER,
    MARKS,
    METRICS,
    counts,
    download,
    finding_text,
    grouped,
    images_to_decide,
    paper,
    provenance,
    render,
    rounded,
    said,
    unit_of,
)
from blurpaper.claims.ledger import Entry
from blurpaper.data.emoji import ATTRIBUTION
from blurpaper.data.examples import EXAMPLES, SEGMENTED, photograph
from blurpaper.data.images import scenes_of, to_canonical
from blurpaper.evaluation import protocol, results
from blurpaper.experiments.examples import SCIKIT_IMAGE, SHOWN, scenes_named
from blurpaper.experiments.measurements import DISKS
from blurpaper.experiments.sources import PAPER, MissingError
from blurpaper.kernels import psf
from blurpaper.runs import CANONICAL, Run
from blurpaper.runs.store import Store
from blurpaper.segmentation.networks import labels as labels_of

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from matplotlib.figure import Figure

    from blurpaper.runs.profile import Profile

NOT_PUBLISHED, NOT_REPORTED = "not yet published", "not reported"
"""Of a number that our runs do not have, and of one that the paper does not have."""


class Picture(NamedTuple):
    """An image that may be shown: canonical, uint8 ``(3, H, W)``, with its right answers."""

    item: str
    image: torch.Tensor
    answers: tuple[str, ...]
    canonical: int
    source: str

    def blurred(self, condition: str) -> torch.Tensor:
        """The image under a condition."""
        return protocol.blurred(self.image[None], [self.item], condition, self.canonical)[0]


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
        import pandas as pd

        rows = {}
        for name, number in numbers.items():
            texts = {title: _text(number[title], unit) for title in number}
            rows[name] = {title: " ".join(text).strip() for title, text in texts.items()}
            self._glue(name, rows[name])
        print(pd.DataFrame.from_dict(rows, "index").to_string())

    def box(self, unit: str, claim: str = "", of: str = "table1", **number: pd.DataFrame) -> None:
        """Show a number of every source side by side, and glue it as :meth:`numbers` does.

        Args:
            claim: the id of a claim that it bears on, whose verdicts are shown with it.
            of: the experiment that names models, data and numbers of images; that of the claim if
                there is one.
        """
        ((name, found),) = number.items()
        texts = {title: _text(found[title], unit) for title in found}
        self._glue(name, {title: " ".join(text).strip() for title, text in texts.items()})
        tested = claims.CLAIMS[claim] if claim else None
        verdicts = self._verdicts(claim) if tested else {}
        known = found.columns[found.notna().any()]
        rows = _by_source(self._run.table(tested.table if tested else of))
        abouts = {title: described(one) for title, one in rows.items() if title in known}
        tiles = [
            {"title": title, "href": self._run.origin(title), "about": abouts.get(title, "")}
            | {"value": value, "interval": interval, "verdict": verdicts.get(title)}
            for title, (value, interval) in texts.items()
        ]
        page = page_with(tested.table) if tested else ""
        name = name.replace("_", " ")
        link = f"{page}#claim-{claim}"
        values = {"name": name, "tiles": tiles, "claim": tested, "href": link, "marks": MARKS}
        display(HTML(render("box.html", **values)))

    def verdicts(self, *names: str) -> None:
        """Print the verdict of each source on some claims, and glue them for the prose.

        Args:
            names: ids of claims; a verdict is glued as ``ID-paper``, and so on.
        """
        import pandas as pd

        rows = {name: self._verdicts(name) for name in names}
        for name, found in rows.items():
            self._glue(name, found)
        print(pd.DataFrame.from_dict(rows, "index").to_string())

    def claims(self, *tables: str) -> None:
        """Show the claims that some tables and figures decide, with the verdict of each source;
        without any, every claim of the paper, in the order of the book.
        """
        entries = claims.ledger(self._run.source, tables) if tables else self._every_claim
        values = {"entries": entries, "sources": list(self._run.places.items()), "marks": MARKS}
        values |= {"whole": not tables, "ledger": page_with(LEDGER), "page_with": page_with}
        values |= {"finding_text": finding_text, "images_to_decide": images_to_decide}
        marks = ", ".join(f"{mark} {verdict}" for verdict, mark in MARKS.items())
        which = "Claims decided here" if tables else "Every claim"
        caption = (
            f"{which}: {marks}. Beside ?, about how many test images would decide. A click opens "
            "the criterion and the numbers."
        )
        rows = {self._run.places[name]: one for name, one in claims.tables(entries).items()}
        self._show(render("verdicts.html", **values), caption, rows)

    def matrix(self) -> None:
        """Show the verdict of each source on every claim as a mark that leads to the claim in the
        list of :meth:`claims`, and how many there are of each, which is glued as
        ``reproduced-paper``, ``not-run-run``, and so on.
        """
        groups: dict[str, list[Entry]] = {}
        for entry in self._every_claim:
            groups.setdefault(entry.claim.table, []).append(entry)
        counted = counts(self._every_claim)
        for verdict in MARKS:
            texts = {self._run.places[name]: str(of[verdict]) for name, of in counted.items()}
            self._glue(verdict.replace(" ", "-"), texts)
        values = {"groups": groups, "counts": counted, "sources": list(self._run.places.items())}
        shown = render("matrix.html", **values, marks=MARKS, page_of=build.page_of)
        caption = "Verdicts on every claim, a mark a claim. A click on a mark leads to its claim."
        self._show(shown, caption, {})

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
        words = " and ".join(f"{METRICS[one]} ({unit_of(one)})" for one in metrics)
        caption = f"{words[:1].upper()}{words[1:]} by {row} and {column}; ± half the 95 % interval."
        shown = grouped(rows, row, column, columns)
        return self._show(shown, caption, _by_source(rows), folded=folded)

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
        frames, label = _by_source(rows), f"{METRICS[metric]}, {unit_of(metric)}"
        places = figures.places_of(frames, against)
        words = in_words(frames, by, places, against, percents=unit_of(metric) == "%")
        defocus = "defocus (radius in pixels of an image whose smaller side is 384)"
        along = defocus if against == "condition" else against
        name = f"{METRICS[metric][:1].upper()}{METRICS[metric][1:]}"
        return self._show(
            "".join(map(inline, figures.curves(frames, by, label, against))),
            f"{name} against {along}, by {by}. Bands: 95 % intervals.",
            frames,
            f"Lines of {label}, against {along}, a panel a source and a line a {by}. {words}",
            folded,
        )

    def risk_coverage(
        self, network: str = "original", scale: str = "256", folded: str = ""
    ) -> None:
        """Plot the share of wrong predictions among the most confident against the share kept, for
        each degree of defocus: a panel a source of decisions (Sec. 1's suggestion).

        Args:
            folded: a line that opens it; none if empty.
        """
        frames = {}
        for title, one in self._run.sources.items():
            model, of = one.profile.model, one.test_set
            try:
                found = one.decisions(
                    model=model, network=network, data=of, scale=scale, input=results.AS_IS
                )
            except MissingError:
                continue
            frames[title] = found
        if not frames:
            return self._show_nothing()
        wrong = [
            f"{title}: "
            + ", ".join(
                f"{condition} {rounded(100 * (of['rank'] >= 1).mean(), 1)} %"
                for condition, of in frame.groupby("condition", sort=False, observed=True)
                if condition in DISKS
            )
            for title, frame in frames.items()
        ]
        return self._show(
            "".join(map(inline, figures.risk_coverage(frames, DISKS))),
            "Error (top-1) among the predictions kept, as only the most confident are kept. "
            "Bands: 95 % intervals.",
            {},
            "Curves of the share of wrong predictions against the share kept, a curve for each "
            f"degree of defocus. If all are kept: {'; '.join(wrong)}.",
            folded,
        )

    def by_label(self, rows: pd.DataFrame, condition: str = "D8", folded: str = "") -> None:
        """Plot the IoU of each label, sharp and under a blur: a panel a source.

        Args:
            folded: a line that opens it; none if empty.
        """
        if rows.empty:
            return self._show_nothing()
        sources = _by_source(rows)
        originals = {title: results.select(of, network="original") for title, of in sources.items()}
        ends = in_words(originals, "region", ("sharp", condition))
        return self._show(
            "".join(map(inline, figures.iou_by_label(sources, condition))),
            f"IoU of each label: of the original, sharp and under {condition}, and of the mix "
            f"under {condition}. Bars: 95 % intervals over scenes.",
            sources,
            f"Points of the IoU of each label. Of the original, {ends[:1].lower()}{ends[1:]}",
            folded,
        )

    # --- Pictures ---------------------------------------------------------------------------------

    def psfs(self, *names: str) -> None:
        """Show PSFs side by side, as the paper's Figure 2 does."""
        drawn = "".join(map(inline, figures.psfs(names)))
        caption = "PSFs on one pixel grid, each scaled to its own maximum (Figure 2)."
        sizes = (f"{name} of {' × '.join(map(str, psf(name).shape))}" for name in names)
        self._show(drawn, caption, {}, f"Grey-scale arrays of PSFs: {', '.join(sizes)} pixels.")

    def pictures(self, pictures: Mapping[str, torch.Tensor], columns: int = 5) -> None:
        """Show images beside one another, each under its title.

        Args:
            pictures: title -> an image, uint8 ``(3, H, W)``, or a map of shares, ``(h, w)``.
            columns: how many fit a page beside one another.
        """
        drawn = figures.gallery(list(pictures.values()), list(pictures), columns)
        maps = [one.ndim == 2 for one in pictures.values()]
        shown = (inline(one, photographs=not of) for one, of in zip(drawn, maps, strict=True))
        caption = "Maps are black at 0, and brightest from a half on. " * any(maps)
        thanks = "Photographs: " + "; ".join(one.source for one in EXAMPLES) + "."
        thanks *= not all(maps)
        alt = "; ".join(" ".join(title.split()) for title in pictures)
        alt = f"Pictures that the code above makes, with their titles: {alt}."
        self._show("".join(shown), caption + thanks, {}, alt)

    def figure(self, name: str, folded: str = "") -> None:
        """Show a figure of the paper that consists of pictures: ``figure1``, ``figure3`` or
        ``figure5``.

        Args:
            folded: a line that opens it; none if empty.
        """
        shown = {"figure1": self._figure1, "figure3": self._figure3, "figure5": self._figure5}
        shown[name](folded)

    def _figure1(self, folded: str) -> None:
        """Images sharp and under D8, above the original's likeliest classes."""
        rows = results.select(self._run.source.rows("figure1"), network="original")
        pictures, drawn, words = self._pictures_of(rows), [], []
        for one in pictures:
            here = results.select(rows, item=one.item)
            conditions = list(here["condition"].unique())
            seen = {condition: one.blurred(condition) for condition in conditions}
            drawn += figures.likely_classes(here, one.item, seen, set(one.answers))
            for condition in conditions:
                of = results.select(here, condition=condition, metric="probability")
                guesses = [
                    f"{guess} {rounded(100 * value, 0)} %"
                    for guess, value in zip(of["parameter"], of["value"], strict=True)
                ]
                words.append(f"{one.item} {condition}: {', '.join(guesses)}")
        self._show_pictures(
            drawn,
            "The original network's likeliest classes for images sharp and under D8, with the rank "
            "of the truth and the entropy (Figure 1); right answers have a tick.",
            "Images, sharp and blurred, each above bars of the likeliest classes. "
            + "; ".join(words),
            pictures,
            folded,
        )

    def _figure3(self, folded: str) -> None:
        """The first image of each condition that may be shown, with the verdicts of networks."""
        rows = self._run.source.rows("figure3")
        of = "emoji" if "emoji" in set(rows["data"]) else SCIKIT_IMAGE
        rows = results.select(rows, data=of).drop_duplicates(["condition", "network"])
        first = self._run.source.rows("figure3_guesses").set_index(["item", "condition", "network"])
        pictures = {one.item: one for one in self._pictures_of(rows)}
        drawn, words = [], []
        for (item, condition), here in rows.groupby(["item", "condition"], sort=False):
            lines, one = {}, pictures[item]
            for network, rank in zip(here["network"], here["value"], strict=True):
                guess = first.loc[(item, condition, network)]
                lines[network] = figures.Verdict(rank <= 5, guess["parameter"], guess["value"])
            title = f"{one.answers[0]}, {condition}"
            drawn += figures.verdicts([one.blurred(condition)], [title], [lines], columns=5)
            right = (f"{name} {'right' if of.right else 'wrong'}" for name, of in lines.items())
            words.append(f"{title}: {', '.join(right)}")
        self._show_pictures(
            drawn,
            "The first guess of each network and its probability (Figure 3); a tick where the "
            "truth is among its five likeliest classes.",
            f"Blurred images, each above the verdicts of networks. {'; '.join(words)}",
            list(pictures.values()),
            folded,
        )

    def _figure5(self, folded: str) -> None:
        """Label maps of scenes: the true one where it is known, and those of networks. All but the
        first source's are folded.
        """
        for title, one in self._run.sources.items():
            with suppress(MissingError):
                self._label_maps(title, one.profile, one.label_maps(), folded)
                folded = "More scenes"

    def _label_maps(
        self, title: str, profile: Profile, maps: Mapping[str, np.ndarray], folded: str
    ) -> None:
        """Label maps of a source, by ``scene mix condition``, over the scenes as networks see
        them: a row a scene.
        """
        names = list(dict.fromkeys(key.partition(" ")[0] for key in maps))
        images = scenes_named(names, Run(profile, Store()))
        side, labels = profile.protocol.canonical, labels_of(profile)
        rows, words = [], []
        for scene, name in zip(scenes_of(images, range(len(names)), profile.protocol), names):
            seen = {"sharp": scene.image}
            seen["D8"] = protocol.blurred(scene.image[None], [name], "D8", side)[0]
            row = [(seen["sharp"], None, "sharp")]
            if isinstance(images.whole, data.SegmentedSet):
                truth = images.whole.label_map(images.whole.ids.index(name)).numpy()
                row = [(seen["sharp"], truth, "truth")]
            for mix, condition in SHOWN:
                found = maps[f"{name} {mix} {condition}"]
                row.append((seen[condition], found, f"{mix}, {condition}"))
                words.append(f"{name}, {mix}, {condition}: {_shares(found, labels)}")
            rows.append(row)
        drawn = figures.label_maps(rows, labels)
        shown = "".join(inline(one, photographs=True) for one in drawn)
        thanks = " ".join(f"{one.what.capitalize()}: {one.source}." for one in SEGMENTED)
        thanks = thanks if names[0].startswith(SCIKIT_IMAGE) else ATTRIBUTION
        caption = f"Label maps over the scenes that the networks saw ({title}, Figure 5). {thanks}"
        self._show(shown, caption, {}, "; ".join(words), folded)

    def _pictures_of(self, rows: pd.DataFrame) -> list[Picture]:
        """The images of some rows that may be shown."""
        profile, found = self._run.profile, []
        items = list(dict.fromkeys(rows["item"]))
        if "emoji" in set(rows["data"]):
            images = data.load_images("emoji", "test", Run(profile, Store()))
            for item in items:
                if item in images.ids:
                    number, size = images.ids.index(item), profile.protocol.canonical
                    answers = (images.classes[images.labels[number]],)
                    image = to_canonical(images[number], size)
                    found.append(Picture(item, image, answers, size, ATTRIBUTION))
        for example in EXAMPLES:
            if (item := f"{SCIKIT_IMAGE}/{example.name}") in items:
                image = to_canonical(photograph(example), CANONICAL)
                source = f"{example.name}: {example.source}."
                found.append(Picture(item, image, example.answers, CANONICAL, source))
        return found

    def _show_pictures(
        self,
        drawn: Sequence[Figure],
        caption: str,
        alt: str,
        pictures: Sequence[Picture],
        folded: str,
    ) -> None:
        thanks = " ".join(dict.fromkeys(one.source for one in pictures))
        shown = "".join(inline(one, photographs=True) for one in drawn)
        self._show(shown, f"{caption} {thanks}", {}, alt, folded)

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
            display(HTML(paper()))
        else:
            overrides = self._run.overrides if role == "run" else {}
            display(HTML(provenance(self._run.sources[title], overrides)))

    @staticmethod
    def _show_nothing() -> None:
        display(HTML(f"<p>{NOT_PUBLISHED.capitalize()}.</p>"))

    def _show(
        self,
        shown: str,
        caption: str,
        rows: Mapping[str, pd.DataFrame],
        alt: str = "",
        folded: str = "",
    ) -> None:
        """Give out HTML with its caption, its rows by source, and where they are from."""
        sources = [
            (title, self._run.origin(title), f": {described(one)}")
            for title, one in rows.items()
            if "model" in one
        ]
        values = {"caption": caption, "alt": alt, "folded": folded, "sources": sources}
        values["rows"] = download(rows) if rows else None
        display(HTML(render("figure.html", shown=shown, **values)))


def page_with(target: str) -> str:
    """The link from a chapter to the page that has a target."""
    return build.page_of(target).partition("#")[0]


def _by_source(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    parts = rows.groupby("source", sort=False)
    return {str(title): one.drop(columns="source") for title, one in parts}


def _text(number: pd.Series, unit: str) -> tuple[str, str]:
    """A number of a source and its interval, or why there is none."""
    if np.isfinite(number.iloc[0]):
        return said(number.dropna(), unit)
    if number.notna().any():
        return "no share of so small a loss", ""
    return (NOT_REPORTED if number.name == PAPER else NOT_PUBLISHED), ""


def described(rows: pd.DataFrame) -> str:
    """Models, data and number of images of some rows, such as ``vgg16 on imagenet, n = 50,000``."""
    pairs = dict.fromkeys(zip(rows["model"], rows["data"], strict=True))
    words = " and ".join(f"{model} on {name}" for model, name in pairs)
    return words + (f", n = {rows['n'].min():,}" if rows["n"].notna().any() else "")


def _shares(found: np.ndarray, labels: Sequence[str]) -> str:
    """What a label map consists of, such as ``background 70 %, cat 30 %``."""
    shares = np.bincount(found.ravel(), minlength=len(labels)) / found.size
    return ", ".join(
        f"{labels[number]} {rounded(100 * shares[number], 0)} %"
        for number in np.argsort(-shares)
        if shares[number] >= 0.01
    )


def in_words(
    sources: Mapping[str, pd.DataFrame],
    line: str,
    places: Sequence[str] = DISKS,
    against: str = "condition",
    percents: bool = True,
) -> str:
    """The ends of the lines of a figure in words, for its alt text, and the highest point between.

    Args:
        sources: heading of a panel -> its rows, of one metric, one for each place of a line.
        line: the column that tells the lines apart.
        places: values of the column ``against``, from the beginning of a line to its end.
    """

    def text(value: float) -> str:
        return f"{rounded(100 * value, 1)} %" if percents else rounded(value, 2)

    panels = []
    for name, frame in sources.items():
        told = []
        for value, rows in frame.groupby(line, sort=False):
            known = rows.set_index(against)["value"]
            if list(known.index) == [""]:
                told.append(f"{value} {text(known.item())} throughout")
            known = known.reindex(list(places)).dropna()
            if len(known) and (known.index[0], known.index[-1]) == (places[0], places[-1]):
                words = f"{value} from {text(known.iloc[0])} to {text(known.iloc[-1])}"
                inner = known.idxmax() not in (places[0], places[-1])
                told.append(words + f" by way of {text(known.max())} at {known.idxmax()}" * inner)
        if told:
            panels.append(f"{name}: {', '.join(told)}")
    return f"From {places[0]} to {places[-1]}, {'; '.join(panels)}."
