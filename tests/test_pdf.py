"""The book as a PDF: every page is in it, in order, and links within the book lead within the PDF."""

import shutil
from pathlib import Path

import pytest

from blurpaper import book, pdf, profile
from blurpaper.book import BookError

PAGE = """<!doctype html><html><head><meta charset="utf-8"><title>{title} &#8212; Blur</title></head>
<body><h1>{title}</h1><p>{text}</p>{links}</body></html>"""


@pytest.fixture
def built(tmp_path, monkeypatch) -> Path:
    """A book of three small pages, whose table of contents is not in the order of their names."""
    (tmp_path / "_toc.yml").write_text(
        "root: z\nparts: [{caption: All, chapters: [{file: part/b, sections: [{file: a}]}]}]\n"
    )
    (tmp_path / "_config.yml").write_text("title: A small book\n")
    monkeypatch.setattr(book, "ROOT", tmp_path)
    monkeypatch.setattr(book, "build_root", lambda: tmp_path / "_build")
    html = tmp_path / "_build" / "smoke" / "html"
    (html / "part").mkdir(parents=True)
    links = '<a href="../a.html#x">within</a> <a href="https://example.org/">elsewhere</a> <a href="../no.txt">a file</a>'
    (html / "z.html").write_text(PAGE.format(title="Last &amp; first", text="zebra", links=""))
    (html / "part" / "b.html").write_text(
        PAGE.format(title="Middle", text="bear<p style='break-before: page'>bees", links=links)
    )
    (html / "a.html").write_text(PAGE.format(title="End", text="ape", links=""))
    return html


needs_chromium = pytest.mark.skipif(
    not any(map(shutil.which, pdf.BROWSERS)), reason="no Chromium here"
)


@needs_chromium
def test_the_pdf_has_every_page_in_order_with_a_bookmark_and_its_links(built) -> None:
    pypdf = pytest.importorskip("pypdf")
    found = pypdf.PdfReader(pdf.write(profile.load("smoke")))
    words = [sheet.extract_text() for sheet in found.pages]
    assert [
        next(word for word in ("zebra", "bear", "bees", "ape") if word in text) for text in words
    ] == [
        "zebra",
        "bear",
        "bees",
        "ape",
    ]
    assert [(mark.title, found.get_destination_page_number(mark)) for mark in found.outline] == [
        ("Last & first", 0),
        ("Middle", 1),
        ("End", 3),
    ]
    links = [one.get_object() for sheet in found.pages for one in sheet.get("/Annots") or ()]
    assert [link["/A"]["/URI"] for link in links if "/A" in link] == ["https://example.org/"]
    assert [link["/Dest"][0].get_object() for link in links if "/Dest" in link] == [found.pages[3]]
    assert found.metadata.title == "A small book"


def test_a_page_that_is_not_built_is_named(built) -> None:
    (built / "a.html").unlink()
    with pytest.raises(BookError, match=r"a\.html is missing: blurpaper book builds it"):
        pdf.write(profile.load("smoke"))


def test_without_a_browser_it_says_what_to_install(built, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(built))
    with pytest.raises(BookError, match="install it"):
        pdf.write(profile.load("smoke"))
