"""The markup of the page with a blur slider, which `play.js` brings to life.

Without JavaScript the page shows a table for one blur. With it, the table gives way to the
controls; what they show comes with the page as JSON, so that nothing has to be loaded.
"""

from __future__ import annotations

import json

from blurpaper.book.play.blurs import said
from blurpaper.book.play.seen import Played
from blurpaper.book.tables import render

FIRST = "D4"
"""The blur at the beginning, and the only one without JavaScript."""


def html(played: Played) -> str:
    """The page's part that is played with: a table for readers without JavaScript, hidden controls,
    and the data.
    """
    data = json.dumps({**played, "first": FIRST}, ensure_ascii=False, separators=(",", ":"))
    return render(
        "play.html",
        **played,
        first=FIRST,
        said=said(FIRST),
        pictures=[(name, one["choice"]) for name, one in played["photographs"].items()],
        blurs=[(kind["key"], kind["title"]) for kind in played["kinds"]],
        data=data.replace("<", "\\u003c"),
    )
