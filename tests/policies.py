"""What tests ask of the Content-Security-Policy of a page, read by other means than those that
wrote it.
"""

import base64
import hashlib
import html
import re


def check_page(page: str) -> None:
    """That a page has a strict policy which lets its own scripts run, and that these are its own."""
    policy = allowed(page)
    assert policy["default-src"] == ["'none'"] and policy["base-uri"] == ["'none'"]
    for directive, sources in policy.items():
        hashes = {one for one in sources if re.fullmatch(r"'sha256-[A-Za-z0-9+/]{43}='", one)}
        assert not hashes or directive in ("script-src", "script-src-attr")
        more = {
            "style-src": "'unsafe-inline'",
            "img-src": "data:",
            "script-src-attr": "'unsafe-hashes'",
        }.get(directive)
        assert set(sources) <= {"'self'", "file:", "'none'", more} | hashes, directive
    for given, text in re.findall(
        r"<script([^>]*)>(.*?)</script>", page, re.DOTALL | re.IGNORECASE
    ):
        if source := re.search(r'\ssrc="([^"]*)"', given):
            assert not re.match(r"\s*([a-z]+:|//)", source[1], re.IGNORECASE)
        elif text and "type=" not in given:
            assert digest(text) in policy["script-src"]
    for handler in re.findall(r'<[a-z][^<>]*\son[a-z]+="([^"]*)"', page):
        assert digest(html.unescape(handler)) in policy["script-src-attr"]


def allowed(page: str) -> dict[str, list[str]]:
    """Directive -> sources of the one policy of a page, which comes before anything that loads or
    runs.
    """
    (tag,) = re.finditer(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', page)
    assert set(re.findall(r"<(\w+)", page[: tag.start()])) <= {"html", "head", "meta"}
    directives = [directive.split() for directive in tag[1].split(";")]
    return {name: sources for name, *sources in directives}


def digest(script: str) -> str:
    """How a policy names an inline script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
