"""Mends in every page what Sphinx and the theme write and a screen reader cannot make sense of."""

import re
from pathlib import Path

_PARAMETERS = re.compile(r'<dl>\s*(<dd><em class="sig-param">.*?)</dl>', re.DOTALL)
_TOGGLE = '<summary><span class="toctree-toggle"'


def _mend(app, pagename, templatename, context, doctree) -> None:  # noqa: ANN001 (Sphinx's own signature)
    """Entries of a bibliography are no items of a list, and parameters a line each no definitions
    without a term.
    """
    if "body" in context:
        body = context["body"].replace(
            '<div role="list" class="citation-list">', '<div class="citation-list">'
        )
        context["body"] = _PARAMETERS.sub(_as_lines, body)


def _as_lines(found: re.Match) -> str:
    lines = found[1].replace("<dd>", "<div>").replace("</dd>", "</div>")
    return f'<div class="sig-lines">{lines}</div>'


def _name_toggles(app, exception) -> None:  # noqa: ANN001 (Sphinx's own signature)
    """What unfolds a part of the contents has no words in it."""
    for path in () if exception else Path(app.outdir).rglob("*.html"):
        page = path.read_text(encoding="utf-8")
        if _TOGGLE in page:
            named = page.replace(
                _TOGGLE, _TOGGLE.replace("<summary>", '<summary aria-label="pages of this part">')
            )
            path.write_text(named, encoding="utf-8", newline="\n")


def setup(app) -> dict:  # noqa: ANN001
    """Connect to Sphinx."""
    app.connect("html-page-context", _mend)
    app.connect("build-finished", _name_toggles)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
