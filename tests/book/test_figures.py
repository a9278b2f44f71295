"""Figures draw the numbers they are given: the data of their lines, cells and marks."""

import base64
import io
import re

import matplotlib
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

matplotlib.use("Agg")

from matplotlib import pyplot as plt

from blurpaper import kernels
from blurpaper.book import pictures, plots, style
from blurpaper.evaluation import metrics, results

DISKS = ["sharp", "D2", "D4", "D6", "D8"]


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def rows(**fixed: str):
    values = np.linspace(0.9, 0.3, len(DISKS))
    return results.table(
        {"condition": name, "metric": "top5", "value": v, "low": v - 0.05, "high": v + 0.05, "n": 9}
        | fixed
        for name, v in zip(DISKS, values, strict=True)
    )


def axes(shown) -> list:
    """The axes of a figure, or of several."""
    return [
        axis for figure in (shown if isinstance(shown, list) else [shown]) for axis in figure.axes
    ]


def drawn(axis) -> set:
    """Colours of the bands and bars that stand for intervals."""
    return {
        matplotlib.colors.to_hex(one.get_facecolor()[0])
        for one in axis.collections
        if len(one.get_facecolor())
    }


def heights(axis) -> list[list[float]]:
    return [np.round(line.get_ydata(), 6).tolist() for line in axis.lines]


def test_psfs_are_drawn_on_one_grid_in_their_own_shape() -> None:
    figure = pictures.psfs(["D2", "H8", "V4", "shake:3"])
    drawn = np.stack([axis.images[0].get_array() for axis in axes(figure)])
    shape, filled = drawn.shape[1:], np.argwhere(drawn.any(axis=0))
    assert shape[0] == shape[1] and min(filled.min(), shape[0] - 1 - filled.max()) == 1
    for axis, name in zip(axes(figure), ["D2", "H8", "V4", "shake:3"], strict=True):
        shown = axis.images[0].get_array()
        assert shown.shape == shape and shown.max() == 1
        assert (shown > 0).sum() == (kernels.psf(name) > 0).sum()
        assert axis.get_title() == name


def test_curves_are_a_key_and_a_panel_a_source_with_a_line_a_scale_all_on_one_axis() -> None:
    ours = rows(scale="256")
    shown = plots.curves({"paper": ours, "this run": ours}, "scale", "top-5 accuracy, %")
    assert [text.get_text() for text in shown[0].legends[0].get_texts()] == ["256"]
    assert [axis.get_title() for axis in axes(shown)] == ["paper", "this run"]
    assert heights(axes(shown)[1]) == [np.linspace(90, 30, 5).round(6).tolist()]
    assert {axis.get_ylim() for axis in axes(shown)} == {(0.0, 100.0)}


def test_a_curve_passes_over_what_was_not_measured_and_stands_at_the_radius() -> None:
    few = results.select(rows(scale="256"), condition=["sharp", "D8"])
    (axis,) = axes(plots.curves({"paper": few}, "scale", "entropy, nats"))
    assert axis.lines[0].get_xdata().tolist() == [0, 4]
    assert heights(axis) == [[0.9, 0.3]]


def test_curves_stand_at_the_numbers_in_a_column_and_those_that_have_none_are_level() -> None:
    of = {"network": "original", "metric": "top5"}
    values = {"D10": 0.1, "D8": 0.9, "D6": 0.4, "": 0.2}
    frame = results.table(
        of | {"parameter": psf, "input": "epll" if psf else "as is", "value": value}
        for psf, value in values.items()
    )
    (axis,) = axes(plots.curves({"photographs": frame}, "input", "top-5, %", "parameter"))
    assert [label.get_text() for label in axis.get_xticklabels()] == ["D6", "D8", "D10"]
    assert heights(axis) == [[40, 90, 10], [20, 20, 20]]
    wide = rows(network="mix").assign(radius=[0.0, 1.2, 2.1, 3.1, 4.5])
    (other,) = axes(plots.curves({"photographs": wide}, "network", "top-5, %", "radius"))
    assert other.lines[0].get_xdata().tolist() == [0.0, 1.2, 2.1, 3.1, 4.5]
    assert axis.get_ylim() == (0.0, 100.0)


def test_maps_are_drawn_as_they_are_beside_images() -> None:
    image = torch.full((3, 4, 6), 7, dtype=torch.uint8)
    first, second = axes(pictures.gallery([image, torch.full((2, 2), 0.3)], ["sharp", "pool5"]))
    assert first.images[0].get_array().shape == (4, 6, 3)
    assert np.allclose(second.images[0].get_array(), 0.3) and second.images[0].get_clim() == (
        0,
        0.5,
    )


def test_lines_of_networks_have_the_colour_of_their_network_and_the_original_is_dashed() -> None:
    frame = results.table(
        [*rows(network="mix").to_dict("records"), *rows(network="original").to_dict("records")]
    )
    (axis,) = axes(plots.curves({"this run": frame}, "network", "top-5"))
    signs = [(line.get_color(), line.get_linestyle()) for line in axis.lines]
    assert signs == [(style.NETWORK_COLOURS["mix"], "-"), (style.NETWORK_COLOURS["original"], "--")]


def test_a_setting_has_the_colour_of_its_scale_and_its_original_is_dashed() -> None:
    networks = ("original", "fine-tuned")
    frame = pd.concat([rows(scale="512").assign(setting=f"512 {one}") for one in networks])
    (axis,) = axes(plots.curves({"this run": frame}, "setting", "top-5"))
    signs = [(line.get_color(), line.get_linestyle()) for line in axis.lines]
    assert signs == [(style.SCALE_COLOURS["512"], "--"), (style.SCALE_COLOURS["512"], "-")]


def test_a_curve_against_a_column_stands_at_its_numbers_in_their_order() -> None:
    frame = rows(scale="256").assign(radius=[4.0, 1.0, 2.0, 3.0, 0.0])
    (axis,) = axes(plots.curves({"paper": frame}, "scale", "top-5", against="radius"))
    assert axis.lines[0].get_xdata().tolist() == [0, 1, 2, 3, 4]
    assert heights(axis)[0] == frame.sort_values("radius")["value"].round(6).tolist()
    assert axis.get_xlabel() == "radius"


def test_risk_is_that_of_the_metric() -> None:
    random = np.random.RandomState(0)
    frame = pd.DataFrame(
        {"condition": "D4", "confidence": random.rand(50), "rank": random.randint(0, 3, 50)}
    )
    axis = plots.risk_coverage({"photos": frame}, ["D4"])[1].axes[0]
    coverage, risk = metrics.risk_coverage(
        frame["confidence"].to_numpy(), (frame["rank"] < 1).to_numpy()
    )
    assert np.allclose(axis.lines[0].get_xdata(), coverage)
    assert np.allclose(axis.lines[0].get_ydata(), risk)


def test_a_verdict_has_a_tick_or_a_cross_the_guess_and_its_probability() -> None:
    image = torch.zeros(3, 8, 8, dtype=torch.uint8)
    said = {
        "original": pictures.Verdict(False, "kite", 0.312),
        "mix": pictures.Verdict(True, "a name so long that it would not fit below", 0.5),
    }
    (axis,) = pictures.verdicts(image, "a", said).axes
    first, second = np.split(np.array([text.get_text() for text in axis.texts]), 2)
    assert first.tolist() == ["✗", "original", "kite 31 %"]
    assert second[:2].tolist() == ["✓", "mix"] and second[2].endswith("… 50 %")


# --- Intervals ------------------------------------------------------------------------------------


def test_every_line_of_estimates_has_its_interval_in_its_colour() -> None:
    frame = results.table(
        row | {"network": network}
        for network in ("original", "mix")
        for row in rows(scale="256").to_dict("records")
    )
    colours = {style.NETWORK_COLOURS[name] for name in ("original", "mix")}
    (axis,) = axes(plots.curves({"this run": frame}, "network", "top-5"))
    assert drawn(axis) == colours
    (axis,) = axes(plots.curves({"this run": rows(scale="256")}, "scale", "top-5"))
    assert drawn(axis) == {style.SCALE_COLOURS["256"]}


def test_the_risk_of_all_predictions_lies_in_its_interval() -> None:
    random = np.random.RandomState(0)
    decided = pd.DataFrame(
        {"condition": "D4", "confidence": random.rand(200), "rank": random.randint(0, 2, 200)}
    )
    (band,) = plots.risk_coverage({"photos": decided}, ["D4"])[1].axes[0].collections
    edge = band.get_paths()[0].vertices
    low, high = (one(edge[edge[:, 0] == 1.0, 1]) for one in (min, max))
    wrong = (decided["rank"] >= 1).mean()
    assert low < wrong < high
    # The normal approximation.
    assert high - low == pytest.approx(2 * 1.96 * (wrong * (1 - wrong) / 200) ** 0.5, rel=0.2)


# --- As they stand in a page ----------------------------------------------------------------------


def test_a_plot_in_a_page_has_letters_and_variables_for_colours_and_no_ground_of_its_own() -> None:
    shown = style.inline(plots.curves({"paper": rows(network="mix")}, "network", "top-5")[1])
    assert shown.startswith("<svg ") and shown.endswith("</svg>")
    assert ">paper</text>" in shown and 'aria-hidden="true"' in shown
    assert (
        f"var(--figure-green, {style.NETWORK_COLOURS['mix']})" in shown
        and "var(--figure-text, " in shown
    )
    assert "fill: #ffffff" not in shown
    bare = re.sub(r"var\(--figure-[a-z]+, #[0-9a-f]{6}\)", "", shown)
    assert not any(light in bare for light, _ in (style.PALETTE | style.PAGE).values())


def test_what_a_plot_refers_to_is_in_it_and_two_plots_share_no_name() -> None:
    kept = []
    for network in ("mix", "original"):
        shown = style.inline(plots.curves({network: rows(network=network)}, "network", "top-5")[1])
        names, wanted = (
            set(re.findall(r' id="([^"]+)"', shown)),
            set(re.findall(r'(?:url\(|href=")#([^)"]+)', shown)),
        )
        assert names == wanted and names
        kept.append(names)
    assert not kept[0] & kept[1]


def test_photographs_in_a_plot_keep_their_pixels_and_are_smoothed() -> None:
    image = torch.randint(
        0, 256, (3, 20, 30), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    shown = style.inline(pictures.gallery([image], ["noise"])[0])
    (data,) = re.findall(r'href="data:image/png;base64,\s*([^"]+)"', shown)
    held = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))
    assert held.shape == (20, 30, 3)
    assert (
        np.sort(held.reshape(-1, 3), 0) == np.sort(image.permute(1, 2, 0).numpy().reshape(-1, 3), 0)
    ).all()
    assert "image-rendering" not in shown


# --- Segmentation ---------------------------------------------------------------------------------


def table6(
    networks=("original", "mix"), metric="miou", regions=("all", "boundary"), column="region"
):
    return results.table(
        {"network": network, "condition": condition, column: region, "metric": metric, "n": 9}
        | {"value": 0.8 - 0.1 * c - 0.05 * n - 0.02 * r, "low": 0.1, "high": 0.9}
        for n, network in enumerate(networks)
        for c, condition in enumerate(DISKS)
        for r, region in enumerate(regions)
    )


def test_labels_are_in_the_order_of_the_originals_iou_on_sharp_scenes() -> None:
    frame = table6(metric="iou", regions=("cat", "dog", "cow"))
    (axis,) = axes(plots.iou_by_label({"this run": frame}, "D8"))
    assert [label.get_text() for label in axis.get_yticklabels()] == ["cow", "dog", "cat"]
    sharp, blurred, mix = (container.lines[0].get_xdata() for container in axis.containers)
    assert sharp == pytest.approx([0.76, 0.78, 0.8])
    assert blurred == pytest.approx([0.36, 0.38, 0.4])
    assert mix == pytest.approx([0.31, 0.33, 0.35])


def test_label_maps_leave_the_background_clear_colour_the_rest_and_show_void_white() -> None:
    picture = torch.full((3, 4, 6), 100, dtype=torch.uint8)
    found = np.zeros((4, 6), np.uint8)
    found[:, 3:], found[0, 0] = 2, 255
    figure = pictures.label_maps(
        [[(picture, None, "sharp"), (picture, found, "mix, D8")]], ("background", "cat", "dog")
    )
    plain, over = (np.asarray(axis.images[0].get_array()) for axis in axes(figure[:2]))
    assert plain == pytest.approx(100 / 255)
    assert over[2, 1] == pytest.approx(100 / 255)
    assert over[0, 0] == pytest.approx(1)
    assert not np.allclose(over[2, 4], 100 / 255)
    assert [text.get_text() for text in figure[1].axes[0].texts] == ["dog"]
    assert [text.get_text() for text in figure[2].legends[0].get_texts()] == ["dog"]


def test_a_label_map_of_another_size_is_laid_over_its_scene_and_small_labels_stay_grey() -> None:
    picture, found = torch.zeros((3, 40, 60), dtype=torch.uint8), np.zeros((20, 30), np.uint8)
    found[:, 15:], found[0, 0] = 2, 1
    figure = pictures.label_maps([[(picture, found, "mix, D8")]], ("background", "cat", "dog"))
    over = np.asarray(figure[0].axes[0].images[0].get_array())
    assert (over[:, :30][2:] == 0).all() and (over[:, 30:] == over[0, 30]).all()
    assert over[0, 0] == pytest.approx(0.3)
    assert [text.get_text() for text in figure[1].legends[0].get_texts()] == ["dog"]


@pytest.mark.parametrize(
    ("inches", "small", "shrinks_to"),
    [(1.5, True, None), (3.5, False, None), (7.0, False, 0.8 * 672)],
)
def test_small_plots_may_stand_in_pairs_on_a_phone_and_wide_ones_stay_readable(
    inches, small, shrinks_to
) -> None:
    figure = plt.figure(figsize=(inches, 2))
    figure.add_axes((0, 0, 1, 1)).axis("off")
    figure.patches.append(plt.Rectangle((0, 0), 1, 1, transform=figure.transFigure, figure=figure))
    shown = style.inline(figure)
    assert ('class="small"' in shown) == small
    least = re.search(r"min-width:(\d+)px", shown)
    assert (least and int(least[1])) == (shrinks_to and pytest.approx(shrinks_to, abs=8))
