"""What a page shows: figures with a text for those who cannot see them, side by side where there is
room, and lines in words.
"""

import re

import pytest
from alt_texts import Pictures
from matplotlib import pyplot as plt

from blurpaper.book import page
from blurpaper.book.page import Page
from blurpaper.book.show import in_words
from blurpaper.evaluation import results


@pytest.fixture
def shown(monkeypatch) -> list[str]:
    """The HTML that a page gives out."""
    found: list[str] = []
    monkeypatch.setattr(page, "display", lambda html: found.append(html.data))
    return found


def test_several_plots_are_one_picture_with_one_text(shown) -> None:
    drawn = [plt.figure(figsize=(2, 2)) for _ in range(3)]
    Page("smoke").figure(drawn, "Nothing.", alt='Three "empty" figures & no more.')
    assert Pictures(shown[0]).texts == ['Three "empty" figures & no more.']
    assert shown[0].count("<svg ") == 3
    assert "<img" not in shown[0] and "profile smoke" in shown[0]
    assert not plt.get_fignums()


@pytest.mark.parametrize(
    ("inches", "small", "shrinks_to"),
    [(1.5, True, None), (3.5, False, None), (7.0, False, 0.8 * 672)],
)
def test_small_plots_may_stand_in_pairs_on_a_phone_and_wide_ones_stay_readable(
    inches, small, shrinks_to, shown
) -> None:
    figure = plt.figure(figsize=(inches, 2))
    figure.add_axes((0, 0, 1, 1)).axis("off")
    figure.patches.append(plt.Rectangle((0, 0), 1, 1, transform=figure.transFigure, figure=figure))
    Page("smoke").figure(
        figure, "Nothing.", alt="A rectangle that fills its figure and nothing else."
    )
    assert ('class="small"' in shown[0]) == small
    least = re.search(r"min-width:(\d+)px", shown[0])
    assert (least and int(least[1])) == (shrinks_to and pytest.approx(shrinks_to, abs=8))


def test_lines_are_told_by_their_ends_as_far_as_both_are_known() -> None:
    rows = results.table(
        {"scale": scale, "condition": condition, "value": value}
        for scale, condition, value in (
            ("256", "sharp", 0.9),
            ("256", "D4", 0.8),
            ("256", "D8", 0.613),
            ("512", "sharp", 0.7),
        )
    )
    assert (
        in_words({"paper": rows, "photos": rows.iloc[:1]}, "scale")
        == "From sharp to D8, paper: 256 from 90.0 % to 61.3 %."
    )
    assert (
        in_words({"paper": rows}, "scale", percents=False)
        == "From sharp to D8, paper: 256 from 0.90 to 0.61."
    )
