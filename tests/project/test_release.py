"""The version that is told in several places, and how the work is to be cited."""

import re
from pathlib import Path

import yaml

import blurpaper
from blurpaper.book import tables

ROOT = Path(__file__).parents[2]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
CHANGES = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def check_work(work: dict, required: set[str], allowed: set[str]) -> None:
    """What the Citation File Format 1.2.0 asks of a work, as far as we use it."""
    assert required <= work.keys() <= required | allowed
    assert work["authors"]
    for author in work["authors"]:
        assert author.keys() in ({"name"}, {"family-names", "given-names"})
        assert all(isinstance(part, str) and part for part in author.values())


def test_the_citation_is_valid() -> None:
    check_work(
        CITATION,
        {"cff-version", "message", "title", "authors"},
        {"type", "license", "version", "date-released", "references", "repository-code", "url"},
    )
    assert CITATION["cff-version"] == "1.2.0" and CITATION["type"] == "software"
    for work in CITATION["references"]:
        check_work(work, {"type", "title", "authors"}, {"year", "journal", "url", "doi"})


def test_it_cites_the_paper_as_the_book_does() -> None:
    first = tables.REFERENCES.read_text(encoding="utf-8").split("\n}\n")[0]
    entry = dict(re.findall(r"^\s*(\w+)\s*=\s*\{(.*)\},?$", first, flags=re.MULTILINE))
    (paper,) = CITATION["references"]
    assert (paper["title"], paper["journal"], str(paper["year"])) == (
        entry["title"],
        entry["journal"],
        entry["year"],
    )
    assert (
        " and ".join(f"{one['family-names']}, {one['given-names']}" for one in paper["authors"])
        == entry["author"]
    )


def test_there_is_one_version() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", blurpaper.__version__)
    assert CITATION["version"] == blurpaper.__version__
    assert (
        re.findall(r"^## \[?(\d+\.\d+\.\d+)\]?", CHANGES, flags=re.MULTILINE)[0]
        == blurpaper.__version__
    )


def test_changes_are_of_the_known_kinds_each_with_something_below_it() -> None:
    assert CHANGES.startswith("# Changelog\n")
    sections = re.findall(r"^### (.*)\n\n(.)", CHANGES, flags=re.MULTILINE)
    assert sections and all(
        title in ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
        for title, _ in sections
    )
    assert all(first == "-" for _, first in sections)
    assert len(sections) == CHANGES.count("\n### ")


def test_the_picture_in_the_readme_is_of_the_committed_results() -> None:
    from tools import finding

    assert f"({finding.PICTURE.relative_to(ROOT)})" in (ROOT / "README.md").read_text("utf-8")
    drawn, rows = finding.PICTURE.read_text("utf-8"), finding.rows()
    assert f"<desc>{finding.checksum(rows)}</desc>" in drawn, "run python -m tools.finding"
    assert all(source in drawn for source in rows["source"].unique())
