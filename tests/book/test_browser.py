"""The book in a browser that reaches nothing but the book: every page, wide and narrow, light and
dark, by eye, keyboard and ear.

It is the smoke book, in headless Chromium, as files; and once from a server.
"""

from __future__ import annotations

import functools
import http.server
import os
import pkgutil
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from urllib.parse import unquote, urldefrag, urlsplit

import pytest
import yaml

import blurpaper
from blurpaper.book import build

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="no playwright here (pip install -e '.[test]')"
)
Axe = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="no axe here (pip install -e '.[test]')"
).Axe

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium here (apt-get install chromium)")

WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 375, "height": 812}
THEIRS: tuple[tuple[str, str, str], ...] = ()
"""(rule of axe, part of the selector, why): findings in the theme's own markup that no option of it
mends.
"""


def listed() -> list[str]:
    """Every page of the table of contents."""

    def below(entries: list[dict]) -> Iterator[str]:
        for entry in entries:
            yield entry["file"]
            yield from below(entry.get("sections", []))

    contents = yaml.safe_load((build.ROOT / "_toc.yml").read_text(encoding="utf-8"))
    return [
        contents["root"],
        *(name for part in contents["parts"] for name in below(part["chapters"])),
    ]


# --- A browser ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[sync_api.Browser]:
    with sync_api.sync_playwright() as playwright:
        as_root = hasattr(os, "geteuid") and os.geteuid() == 0  # for whom Chromium has no sandbox
        try:
            opened = playwright.chromium.launch(
                executable_path=CHROMIUM, args=["--no-sandbox"] if as_root else []
            )
        except sync_api.Error as error:  # such as Ubuntu's stand-in for its snap
            pytest.skip(f"{CHROMIUM} does not start: {str(error).splitlines()[0]}")
        yield opened
        opened.close()


class Heard(list):
    """Problems of a page: errors of scripts, missing files, requests to other hosts."""


@contextmanager
def opened(
    browser: sync_api.Browser, root: str, name: str
) -> Iterator[tuple[sync_api.Page, Heard]]:
    """A page of the book below an address, loaded and at rest; a request to anywhere else is
    stopped and heard.
    """
    heard = Heard()
    context = browser.new_context(viewport=WIDE, reduced_motion="reduce", color_scheme="light")

    def pass_on(route: sync_api.Route) -> None:
        if route.request.url.startswith((root, "data:", "blob:")):
            route.continue_()
        else:
            heard.append(f"asks for {route.request.url}")
            route.abort()

    context.route("**/*", pass_on)
    page = context.new_page()
    page.on(
        "console", lambda message: heard.append(message.text) if message.type == "error" else None
    )
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("requestfailed", lambda request: heard.append(f"has no {request.url}"))
    page.goto(root + name)
    if not name:  # the first page of a book leads on at once
        page.wait_for_url("**/00_introduction.html")
    page.evaluate(
        "async () => { if (window.MathJax?.startup) await MathJax.startup.promise; await "
        "document.fonts.ready; }"
    )
    yield page, heard
    context.close()


@pytest.fixture(scope="module")
def root(smoke_run) -> str:
    """The address of the book as files."""
    return smoke_run[0].resolve().as_uri() + "/"


def chosen() -> list:
    """Every page; of the reference, whose pages are alike, all but two are slow."""
    modules = [module.name for module in pkgutil.iter_modules(blurpaper.__path__)]
    reference = [f"book/reference/blurpaper.{name}" for name in modules if name[0] != "_"]
    alike = {name for name in reference if not re.search("[.](blur|kernels)$", name)}
    return [
        pytest.param(name, marks=[pytest.mark.slow] * (name in alike))
        for name in [*listed(), *reference, "search", "genindex"]
    ]


@pytest.fixture(scope="module", params=chosen())
def page(request, browser, root) -> Iterator[tuple[sync_api.Page, Heard]]:
    """Each page, opened once."""
    with opened(browser, root, f"{request.param}.html") as found:
        yield found


# --- Every page -----------------------------------------------------------------------------------


def test_a_page_loads_nothing_from_elsewhere_and_has_no_error(page) -> None:
    assert page[1] == []


def test_maths_is_set(page) -> None:
    written, drawn, wrong = page[0].evaluate(
        "() => ['.math', '.math mjx-container', 'mjx-merror'].map((what) => "
        "document.querySelectorAll(what).length)"
    )
    assert drawn == written and wrong == 0


def findings(page: sync_api.Page, rules: list[str] | None = None) -> list[str]:
    """What axe-core finds that is serious or critical: the rule and where, and why if a colour."""
    options: dict[str, object] = {"resultTypes": ["violations"], "preload": False}
    if rules:
        options["runOnly"] = {"type": "rule", "values": rules}
    found = []
    for violation in Axe().run(page, options=options).response["violations"]:
        if violation["impact"] not in ("serious", "critical"):
            continue
        for node in violation["nodes"]:
            where = " ".join(map(str, node["target"]))
            if not any(violation["id"] == rule and part in where for rule, part, _ in THEIRS):
                why = node["failureSummary"].splitlines()[-1].strip()
                found.append(f"{violation['id']}: {where}: {node['html'][:150]}: {why}")
    return found


def turn(page: sync_api.Page, scheme: str) -> None:
    """Let the reader's system be light or dark, which the page follows."""
    page.emulate_media(color_scheme=scheme)
    page.wait_for_function(
        "(scheme) => document.documentElement.dataset.theme === scheme", arg=scheme
    )


def test_axe_finds_nothing_serious_in_a_light_page(page) -> None:
    turn(page[0], "light")
    assert findings(page[0]) == []


def test_colours_have_enough_contrast_in_a_dark_page(page) -> None:
    turn(page[0], "dark")
    found = findings(page[0], ["color-contrast", "link-in-text-block"])
    turn(page[0], "light")
    assert found == []


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_a_page_is_not_wider_than_its_window(page, size) -> None:
    page[0].set_viewport_size(size)
    beyond = page[0].evaluate(
        """() => {
          const width = document.documentElement.clientWidth;
          if (document.documentElement.scrollWidth <= width) return [];
          const wide = [...document.querySelectorAll("body *")].filter(
            (one) => one.getBoundingClientRect().right > width + 1);
          return wide.slice(0, 5).map((one) => one.outerHTML.slice(0, 120));
        }"""
    )
    page[0].set_viewport_size(WIDE)
    assert beyond == []


# --- Tables ---------------------------------------------------------------------------------------


def column(page: sync_api.Page, place: int) -> list[str]:
    cells = page.locator("table.blurpaper").first.locator("tbody tr").all()
    return [
        cell.locator("th, td").nth(place).evaluate("(one) => one.firstChild.textContent.trim()")
        for cell in cells
    ]


def number(text: str) -> float:
    return float(text.replace("−", "-").replace(",", ""))


SORTABLE = """<table class="blurpaper"><thead><tr><th>name</th><th>value</th></tr></thead><tbody>
<tr><th>b</th><td>10.0<small class="interval">9 to 11</small></td></tr>
<tr><th>a</th><td>−9.5</td></tr><tr><th>d</th><td>9.25</td></tr><tr><th>c</th><td>1,000</td></tr>
</tbody></table>"""


def test_a_table_is_sorted_by_the_headings_of_its_columns_with_the_keyboard(browser, root) -> None:
    script = (build.ROOT / "book" / "_static" / "tables.js").read_text(encoding="utf-8")
    with opened(browser, root, "notebooks/08_second_model.html") as (page, heard):
        article = page.locator("article").first
        article.evaluate("(one, table) => one.insertAdjacentHTML('afterbegin', table)", SORTABLE)
        page.evaluate(f"() => {{ {script} }}")
        table = page.locator("table.blurpaper").first
        buttons = table.locator("thead button.sort")
        assert buttons.count() == table.locator("tbody tr").first.locator("th, td").count()
        given = column(page, 0), column(page, 1)
        numbers = [number(one) for one in given[1]]
        heading = buttons.nth(1).locator("xpath=..")
        buttons.nth(1).focus()
        for direction, wanted in (
            ("ascending", sorted(numbers)),
            ("descending", sorted(numbers, reverse=True)),
        ):
            page.keyboard.press("Enter")
            assert heading.get_attribute("aria-sort") == direction
            assert [number(one) for one in column(page, 1)] == wanted
            # Rows stay whole.
            assert sorted(zip(column(page, 0), column(page, 1))) == sorted(zip(*given))
        page.keyboard.press("Space")
        assert heading.get_attribute("aria-sort") is None
        assert (column(page, 0), column(page, 1)) == given
        assert page.evaluate("() => document.activeElement.className") == "sort"
        assert heard == []


# --- Links ----------------------------------------------------------------------------------------


class Anchors(HTMLParser):
    """The ids of a page and where it leads."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids |= {given[name] for name in ("id", "name") if given.get(name)}
        self.links += [given["href"]] if tag == "a" and given.get("href") else []


def test_every_link_within_the_book_leads_to_a_file_and_a_place_that_are_there(smoke_run) -> None:
    pages = {
        path.resolve(): Anchors(path.read_text(encoding="utf-8"))
        for path in smoke_run[0].rglob("*.html")
    }
    dead = []
    for path, anchors in pages.items():
        for link in anchors.links:
            if urlsplit(link).scheme:
                continue
            file, fragment = urldefrag(link)
            target = (path.parent / unquote(urlsplit(file).path)).resolve() if file else path
            target = target / "index.html" if target.is_dir() else target
            known = pages[target].ids if target in pages else set()
            if not target.is_file() or (
                fragment and target in pages and unquote(fragment) not in known
            ):
                dead.append(f"{path.relative_to(smoke_run[0].resolve())} -> {link}")
    assert dead == []


# --- From a server --------------------------------------------------------------------------------


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def served(smoke_run) -> Iterator[str]:
    """The address of the book on a server of this machine."""
    handler = functools.partial(Quiet, directory=str(smoke_run[0]))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


def test_from_a_server_the_first_page_is_found_and_the_search_quotes_what_it_finds(
    browser, served
) -> None:
    with opened(browser, served, "") as (page, heard):
        assert page.locator("article h1").count() == 1
        assert heard == []
    with opened(browser, served, "search.html?q=entropy") as (page, heard):
        page.locator(".search-summary").get_by_text("found").wait_for(timeout=20_000)
        page.locator("#search-results li p.context").first.wait_for(timeout=20_000)
        links = page.eval_on_selector_all(
            "#search-results li > a", "(all) => all.map((one) => one.getAttribute('href'))"
        )
        is_reference = [link.startswith("book/reference") for link in links]
        assert is_reference == sorted(is_reference) and is_reference.count(False) >= 3
        assert not any(
            ".ipynb" in text for text in page.locator("#search-results p.context").all_inner_texts()
        )
        assert heard == []


def test_from_files_the_search_finds_without_excerpts_and_without_errors(browser, root) -> None:
    with opened(browser, root, "search.html?q=entropy") as (page, heard):
        page.locator(".search-summary").get_by_text("found").wait_for(timeout=20_000)
        assert page.locator("#search-results li").count() >= 3
        assert heard == []


def test_the_sidebar_is_hidden_and_shown_on_a_desktop(browser, root) -> None:
    with opened(browser, root, "notebooks/00_introduction.html") as (page, _):
        sidebar, button = page.locator("#pst-primary-sidebar"), page.locator(".primary-toggle")
        assert sidebar.is_visible()
        button.locator("visible=true").click()
        sidebar.wait_for(state="hidden")
        assert not sidebar.is_visible()
        button.locator("visible=true").click()
        sidebar.wait_for(state="visible")
        assert sidebar.is_visible()


# --- The ledger -----------------------------------------------------------------------------------


def test_a_click_on_a_mark_leads_to_its_claim(browser, root) -> None:
    with opened(browser, root, "notebooks/09_claims.html") as (page, heard):
        page.locator('a.dot[href="#moderate-blur-hurts"]').first.click()
        row = page.locator("tr:target")
        assert row.get_attribute("id") == "moderate-blur-hurts"
        row.locator("summary").click()
        assert row.locator("a", has_text="in its chapter").is_visible()
        assert heard == []
