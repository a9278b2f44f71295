"""A Content-Security-Policy in every page of a built book: nothing runs or loads but what came with
the book.

Scripts are files of the book, or inline ones whose SHA-256 the page itself lists; handlers in
attributes (``onclick``) are listed likewise. Styles may be inline: MathJax and the theme write
them. A book is read from a server or as files, and to Firefox the files beside a page are not its
``'self'``: ``file:`` stands beside it, which a page from a server cannot use.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path

WASM = "data-wasm"
"""The attribute of a script that runs WebAssembly: the policy of its page, and of no other, allows
that.
"""
OWN = ("'self'", "file:")
"""The book's own files, from a server or not."""
POLICY = {
    "default-src": ("'none'",),
    "script-src": OWN,
    "script-src-attr": ("'none'",),
    "style-src": (*OWN, "'unsafe-inline'"),
    "img-src": (*OWN, "data:"),
    "font-src": OWN,
    "connect-src": OWN,  # the search reads pages to quote them
    "form-action": OWN,
    "base-uri": ("'none'",),
}
"""What every page allows, but for the hashes of its inline scripts and of the book's handlers."""

_RUN = {"", "text/javascript", "application/javascript", "module", "importmap"}
"""Types of a script that a browser runs; what is in another is data."""
_TAG = re.compile(r'<meta http-equiv="Content-Security-Policy" content="[^"]*"\s*/?>\n?')
_PLACE = re.compile(
    r"\s*(<!doctype[^>]*>)?\s*(<html(\s[^>]*)?>)?\s*(<head(\s[^>]*)?>)?\s*(<meta\s+charset=[^>]*>)?",
    re.IGNORECASE,
)
_ELSEWHERE = re.compile(r"\s*([a-z][a-z0-9+.-]*:|[/\\]{2})", re.IGNORECASE)


def secure(html_folder: Path) -> None:
    """Write a policy into every page below a folder, in place of one that is there already.

    Raises:
        RuntimeError: if a page has a script from elsewhere or a link that is a script, which the
            policy would stop.
    """
    pages = {
        path: _TAG.sub("", path.read_text(encoding="utf-8"))
        for path in sorted(html_folder.rglob("*.html"))
    }
    found = {path: _scripts(page) for path, page in pages.items()}
    for path, scripts in found.items():
        if scripts.elsewhere:
            raise RuntimeError(
                f"{path} would run a script that is no file of the book: {scripts.elsewhere[0]!r}; let it come along."
            )
    # The search reads other pages, handlers and all: each page allows those of the whole book.
    handlers = [handler for scripts in found.values() for handler in scripts.handlers]
    for path, page in pages.items():
        tag = f'<meta http-equiv="Content-Security-Policy" content="{policy(found[path].inline, handlers, found[path].wasm)}">\n'
        place = _PLACE.match(page).end()
        path.write_text(page[:place] + tag + page[place:], encoding="utf-8", newline="\n")


def policy(scripts: Iterable[str], handlers: Iterable[str] = (), wasm: bool = False) -> str:
    """The policy, in one line, of a page with these inline scripts and handlers in attributes; and
    WebAssembly if it has some.

    >>> policy(["go()"]).split("; ")[1]
    "script-src 'self' file: 'sha256-5KYv+PUboo5h+0+YAtGRPbwv5d/QxzHslP4YGnUaxRw='"
    """
    wanted = dict(POLICY)
    wanted["script-src"] += tuple(dict.fromkeys(map(_hash, scripts)))
    if wasm:
        wanted["script-src"] += ("'wasm-unsafe-eval'",)
    if listed := tuple(dict.fromkeys(map(_hash, handlers))):
        wanted["script-src-attr"] = ("'unsafe-hashes'", *listed)
    return "; ".join(" ".join((directive, *sources)) for directive, sources in wanted.items())


def _scripts(page: str) -> _Scripts:
    found = _Scripts()
    found.feed(page)
    found.close()
    return found


class _Scripts(HTMLParser):
    """The scripts of a page: inline ones, handlers in attributes, those of no file of the book, and
    if any runs WebAssembly.
    """

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.inline: list[str] = []
        self.handlers: list[str] = []
        self.elsewhere: list[str] = []
        self.wasm = False
        self._text: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.handlers += [value for name, value in given.items() if name.startswith("on") and value]
        links = [
            given[name] for name in ("href", "action", "formaction", "xlink:href") if name in given
        ]
        self.elsewhere += [link for link in links if link.strip().lower().startswith("javascript:")]
        if tag == "script":
            self.wasm |= WASM in given
            if _ELSEWHERE.match(given.get("src", "")):
                self.elsewhere.append(given["src"])
            if "src" not in given and given.get("type", "").strip().lower() in _RUN:
                self._text = []

    def handle_data(self, data: str) -> None:
        if self._text is not None:
            self._text.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "script" and self._text is not None:
            self.inline.append("".join(self._text))
            self._text = None


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
