"""The markup of the page with a blur slider, which `play.js` brings to life.

Without JavaScript the page shows a table for one blur. With it, the table gives way to the
controls; what they show comes with the page as JSON, so that nothing has to be loaded.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape

from blurpaper.play.blurs import said
from blurpaper.play.seen import Played

FIRST = "D4"
"""The blur at the beginning, and the only one without JavaScript."""


def html(played: Played) -> str:
    """The page's part that is played with: a table for readers without JavaScript, hidden controls,
    and the data.
    """
    data = {**played, "first": FIRST}
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return (
        '<link rel="stylesheet" href="../_static/play.css">'
        f'<div class="play" id="play">{_plain(played)}{_controls(played)}</div>'
        f'<script type="application/json" id="play-data">{text}</script>'
        '<script src="../_static/play.js" defer></script>'
    )


# --- Without JavaScript ---------------------------------------------------------------------------


def _plain(played: Played) -> str:
    networks, last = played["networks"], played["stages"][-1]
    top = "".join(f'<th colspan="3" scope="colgroup">{escape(name)}</th>' for name in networks)
    columns = ("says", "entropy, nats", f"distance at {last}")
    second = "".join(f'<th scope="col">{column}</th>' for _ in networks for column in columns)
    rows = []
    for picture in played["photographs"].values():
        here = picture["seen"][FIRST]
        cells = []
        for name in networks:
            told = here["networks"][name]
            likeliest, probability = told["likely"][0]
            cells.append(
                f"<td>{escape(likeliest)} ({100 * probability:.0f} %)</td><td>{told['entropy']:.2f}</td>"
                f"<td>{told['distances'][-1]:.2f}</td>"
            )
        alt = f"{escape(picture['title'])}, blurred by {said(FIRST)}"
        image = f'<img class="dark-light" alt="{alt}" src="{here["picture"]}" width="160">'
        rows.append(
            f'<tr><th scope="row">{image}<br>{escape(picture["choice"])}</th>{"".join(cells)}</tr>'
        )
    head = f'<tr><th rowspan="2" scope="col">picture</th>{top}</tr><tr>{second}</tr>'
    table = f'<table class="blurpaper"><thead>{head}</thead><tbody>{"".join(rows)}</tbody></table>'
    return (
        f'<div class="play-plain"><p>What the networks see under {FIRST}. With JavaScript there is a slider here.</p>'
        f'<div class="wide" tabindex="0">{table}</div></div>'
    )


# --- With JavaScript ------------------------------------------------------------------------------


def _controls(played: Played) -> str:
    pictures = _choices(
        "photograph",
        "Picture",
        [(name, one["choice"]) for name, one in played["photographs"].items()],
    )
    blurs = _choices("kind", "Blur", [(kind["key"], kind["title"]) for kind in played["kinds"]])
    notches = len(played["kinds"][0]["steps"]) - 1
    return (
        '<form class="play-form" hidden>'
        f'<div class="play-choices">{pictures}{blurs}</div>'
        '<figure class="play-picture">'
        '<img class="dark-light" alt="The picture chosen above, blurred as the slider says"><figcaption></figcaption></figure>'
        '<div class="play-size"><label for="play-size">Size of the blur</label>'
        f'<input type="range" id="play-size" name="size" min="0" max="{notches}" step="1" value="0">'
        '<output for="play-size"></output></div>'
        '<p class="play-summary" role="status" aria-live="polite"></p>'
        f'<div class="play-networks">{"".join(map(_panel, played["networks"]))}</div>'
        f"{_distances(played)}</form>"
    )


def _choices(name: str, legend: str, options: Sequence[tuple[str, str]]) -> str:
    radios = "".join(
        f'<label><input type="radio" name="{name}" value="{escape(value)}"{" checked" if not number else ""}> '
        f"<span>{escape(text)}</span></label>"
        for number, (value, text) in enumerate(options)
    )
    return f'<fieldset data-name="{name}"><legend>{legend}</legend><div>{radios}</div></fieldset>'


def _panel(network: str) -> str:
    name = escape(network)
    return (
        f'<section data-network="{name}" aria-label="{name}"><h3>{name}</h3>'
        '<table><caption class="play-unseen">Five likeliest classes</caption>'
        '<thead class="play-unseen"><tr><th scope="col">class</th><th scope="col">probability</th></tr></thead>'
        "<tbody></tbody></table>"
        '<p class="play-entropy"></p></section>'
    )


def _distances(played: Played) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in played["networks"])
    cells = "".join(f'<td data-network="{escape(name)}"></td>' for name in played["networks"])
    rows = "".join(f'<tr><th scope="row">{stage}</th>{cells}</tr>' for stage in played["stages"])
    return (
        '<section class="play-distances"><h3>How far the features move</h3>'
        "<table><caption>Share of features that differ, on or off, from the sharp image, after each stage; a full bar is a half"
        "</caption>"
        f'<thead><tr><th scope="col">stage</th>{head}</tr></thead><tbody>{rows}</tbody></table></section>'
    )
