"""No number of the book is typed by hand."""

from pathlib import Path

import pytest
from prose import numbers_in, typed_numbers

ROOT = Path(__file__).parents[2]


def test_numbers_typed_in_a_notebook_and_in_a_page_are_named_with_their_place(tmp_path) -> None:
    for folder in ("notebooks", "book"):
        (tmp_path / folder).mkdir()
    notebook = tmp_path / "notebooks" / "01_disk.py"
    told = '\n# %%\npage.say(f"It is {x:.1f} points, or {y} of 43 networks.")\n'
    notebook.write_text(
        "# %% [markdown]\n# Of a disk, `D8` (Table 1).\n\n# accuracy falls to 61.2 % here\n" + told
    )
    (tmp_path / "book" / "credits.md").write_text("It takes\n\ntakes 37 minutes\n")
    found = typed_numbers(tmp_path)
    assert [line.split(":")[0] for line in found] == [
        "notebooks/01_disk.py, cell 1",
        "notebooks/01_disk.py, line 7",
        "book/credits.md",
    ]
    assert '"61.2 %" is typed, not computed: ... accuracy falls to 61.2 % here' in found[0]
    assert '"43"' in found[1]
    assert '"37"' in found[2]


def typed(text: str) -> list[str]:
    return [number for number, _ in numbers_in(text)]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("accuracy falls to 61.2 %", ["61.2 %"]),
        ("takes 37 minutes, and 20 GB", ["37", "20"]),
        ("3 of 12 claims", ["3", "12"]),
        ("In Table 3, 61.2 % is reached", ["61.2 %"]),
        ("in 2000 images of 256 networks", ["2000", "256"]),
        ("by 8 points, 128 times, a radius of 8 %", ["8", "128", "8 %"]),
        ("at 256.5 and 384.1", ["256.5", "384.1"]),
        ("a 95 % share", ["95 %"]),
        ("maths that hides $61.2\\,\\%$ and code that hides `61.2 %`", ["61.2", "61.2 %"]),
        (
            "```{note}\nit is 43\n```\n\n:::{tip} 44\n:name: a-1\nit is 45\n:::\n\n[a]: "
            "b.html#1\n\nand 46",
            ["43", "44", "45", "46"],
        ),
        ("from 1,000 to -0.7", ["1,000", "0.7"]),
    ],
)
def test_results_are_caught(text, numbers) -> None:
    assert typed(text) == numbers


@pytest.mark.parametrize(
    "text",
    [
        "Table 3, Tables 3 and 4, Fig. 4, Figure 1, Sec. 4.1, Section\n4.2, chapter 06",
        "asked in 2016 (2018), of VOC 2012, arXiv:1611.05760",
        "`128`, 256, 512 and 256+512, of 384, crops of 224, drawn from 356, 384 and 410",
        "D8, `H8`, a radius of 8, blur radius 0 to 8, standard deviation 4, over 8 pixels",
        "8 x 8 patches, a 16 × 16 grid, 7 × 7, stride 1, rounded to 8 bits, 1/f",
        "with 95 % intervals, where 0 is the same",
        "VGG-16, ResNet-50, EfficientNet-Lite0, bfloat16, top-5, CC0, CC BY-SA 4.0, Apache 2.0, "
        "ImageNet's 50,000 images",
        "$1/\\sqrt{12}$, $$ y = 3.1 x $$, {cite}`x2016`, [here](https://a.org/3.5), "
        "https://b.org/7.1 and `seed=13`",
        "---\nsize: 61.2\n---\n# 4.1 Results\n\n1. first\n2. second\n\n```bash\ncut -c 37\n```\n",
    ],
)
def test_names_are_not(text) -> None:
    assert typed(text) == []


def test_no_number_is_typed_in_this_book() -> None:
    found = typed_numbers(ROOT)
    # test_benchmarks ties that page to the committed benchmarks.
    assert [one for one in found if not one.startswith("book/speed.md")] == []
