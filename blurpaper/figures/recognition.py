"""Plots of recognition under blur, one function a figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from blurpaper import kernels, metrics
from blurpaper.figures.style import CONDITION_COLOURS, NETWORK_COLOURS, SCALE_COLOURS, SCALE_MARKS, gallery, label_ends
from blurpaper.results import select
from blurpaper.tallies import DISKS

if TYPE_CHECKING:
    import pandas as pd
    import torch


def psfs(names: Sequence[str]) -> Figure:
    """Kernels side by side on one pixel grid (Fig. 2)."""
    side = max(max(kernels.psf(name).shape) for name in names) | 1
    figure, axes = plt.subplots(1, len(names), figsize=(1.35 * len(names), 1.7))
    for axis, name in zip(np.atleast_1d(axes), names, strict=True):
        kernel = kernels.psf(name)
        down, across = ((side - size) // 2 for size in kernel.shape)
        shown = np.pad(kernel, ((down, side - down - kernel.shape[0]), (across, side - across - kernel.shape[1])))
        axis.imshow(shown / shown.max(), cmap="gray", vmin=0, vmax=1)
        axis.set(title=name, xticks=[], yticks=[])
    figure.tight_layout()
    return figure


def likely_classes(rows: pd.DataFrame, image: str, pictures: dict[str, torch.Tensor], answers: set[str]) -> Figure:
    """An image sharp and blurred, each above the probabilities of its five likeliest classes (Fig. 1)."""
    figure, axes = plt.subplots(2, len(pictures), figsize=(4.2 * len(pictures), 4.6), height_ratios=(1.5, 1), squeeze=False)
    for column, (condition, picture) in enumerate(pictures.items()):
        here = select(rows, data=image, condition=condition)
        entropy = select(here, metric="entropy")["value"].item()
        rank = select(here, metric="rank")["value"].item()
        top, bottom = axes[:, column]
        top.imshow(picture.permute(1, 2, 0).numpy())
        top.set_title(f"{condition}: truth ranked {rank:.0f}, entropy {entropy:.2f} nats", fontsize=10)
        top.axis("off")
        likely = select(here, metric="probability")
        colours = [CONDITION_COLOURS["D4"] if name in answers else "#999999" for name in likely["region"]]
        bottom.barh(likely["region"], likely["value"], color=colours)
        bottom.invert_yaxis()
        bottom.set(xlim=(0, 1), xlabel="probability")
    figure.tight_layout()
    return figure


def accuracy_by_condition(rows: pd.DataFrame, sources: dict[str, pd.DataFrame], metric: str = "top5") -> Figure:
    """Accuracy under growing defocus at every scale setting: the paper and this run (Table 1)."""
    scales = [scale for scale in SCALE_MARKS if scale in set(rows["scale"])]
    figure, axes = plt.subplots(1, len(sources), figsize=(4.4 * len(sources), 3.6), sharey=True, squeeze=False)
    for axis, (title, frame) in zip(axes.flat, sources.items(), strict=True):
        ends: dict[str, float] = {}
        axis.set_ylim(0, 1)
        for scale in scales:
            line = select(frame, scale=scale, metric=metric, condition=DISKS).set_index("condition").reindex(DISKS)
            if line["value"].isna().all():
                continue
            place, value = np.arange(len(DISKS)), line["value"].to_numpy()
            axis.plot(place, value, marker=SCALE_MARKS[scale], color=SCALE_COLOURS[scale], label=scale)
            axis.fill_between(place, line["low"], line["high"], color=SCALE_COLOURS[scale], alpha=0.2, linewidth=0)
            ends[scale] = value[-1]
        label_ends(axis, len(DISKS) - 1, ends, SCALE_COLOURS)
        axis.set(title=title, xticks=range(len(DISKS)), xticklabels=DISKS, xlim=(-0.2, len(DISKS) - 0.1))
        axis.set_xlabel("blur, radius in pixels of 384")
    axes[0, 0].set_ylabel("top-5 accuracy" if metric == "top5" else "top-1 accuracy")
    figure.tight_layout()
    return figure


def accuracy_against_entropy(decided: pd.DataFrame) -> Figure:
    """Each condition as a point: mean entropy against accuracy, at each scale (Sec. 3)."""
    figure, axis = plt.subplots(figsize=(6.4, 4.2))
    for scale in SCALE_MARKS:
        colour, group = SCALE_COLOURS[scale], select(decided, scale=scale)
        if group.empty:
            continue
        by_condition = group.groupby("condition", sort=False)
        entropy = by_condition["entropy"].mean()
        accuracy = by_condition["rank"].agg(lambda rank: (rank < 5).mean())
        axis.scatter(entropy, accuracy, color=colour, marker=SCALE_MARKS[scale], label=f"scale {scale}")
        if scale == "256":
            for name in entropy.index:
                axis.annotate(name, (entropy[name], accuracy[name]), xytext=(5, 3), textcoords="offset points", fontsize=8)
    axis.set(xlabel="mean entropy of the prediction, nats", ylabel="top-5 accuracy", ylim=(0, 1.02))
    axis.legend(frameon=False)
    figure.tight_layout()
    return figure


def risk_coverage(decided: pd.DataFrame, conditions: Sequence[str]) -> Figure:
    """Error among the predictions kept, if the least confident are sent back (Sec. 1's suggestion)."""
    figure, axis = plt.subplots(figsize=(6.4, 4.2))
    for condition in conditions:
        group = select(decided, condition=condition)
        coverage, risk = metrics.risk_coverage(group["confidence"].to_numpy(), (group["rank"] < 1).to_numpy())
        colour = CONDITION_COLOURS[condition]
        axis.plot(coverage, risk, color=colour)
        axis.annotate(condition, (1, risk[-1]), xytext=(5, -3), textcoords="offset points", color=colour)
    axis.set(xlabel="share of predictions kept, the most confident first", ylabel="share of the kept that are wrong (top-1)")
    axis.set(xlim=(0, 1.08), ylim=(0, None))
    figure.tight_layout()
    return figure


def by_network(rows: pd.DataFrame, metric: str, label: str, networks: Sequence[str]) -> Figure:
    """One metric against defocus, a line for each network with its interval (Tables 2 and 3)."""
    figure, axis = plt.subplots(figsize=(6.4, 4.2))
    ends: dict[str, float] = {}
    for network in networks:
        line = select(rows, network=network, metric=metric).set_index("condition").reindex(DISKS)
        colour, place = NETWORK_COLOURS[network], np.arange(len(DISKS))
        axis.plot(place, line["value"], marker="o", color=colour)
        axis.fill_between(place, line["low"], line["high"], color=colour, alpha=0.2, linewidth=0)
        ends[network] = float(line["value"].iloc[-1])
    axis.set(xticks=range(len(DISKS)), xticklabels=DISKS, ylabel=label, xlabel="blur, radius in pixels of 384")
    axis.set_ylim(0, 1 if metric in ("top1", "top5") else None)
    label_ends(axis, len(DISKS) - 1, ends, NETWORK_COLOURS)
    figure.tight_layout()
    return figure


def transfer_matrix(rows: pd.DataFrame, networks: Sequence[str], conditions: Sequence[str], metric: str) -> Figure:
    """Accuracy of networks fine-tuned on one mix under each test condition, as a heat map (Table 3)."""
    values = select(rows, metric=metric).pivot(index="network", columns="condition", values="value")
    figure, axis = plt.subplots(figsize=(1.1 + 0.72 * len(conditions), 0.9 + 0.45 * len(networks)))
    sns.heatmap(
        100 * values.reindex(index=networks, columns=conditions), ax=axis, annot=True, fmt=".0f", cmap="cividis",
        vmin=0, vmax=100, linewidths=0.5, cbar_kws={"label": f"top-{metric[-1]} accuracy, %"},
    )  # fmt: skip
    axis.set(xlabel="tested on", ylabel="fine-tuned on")
    axis.tick_params(axis="y", rotation=0)
    figure.tight_layout()
    return figure


def scale_settings(sources: dict[str, pd.DataFrame], conditions: Sequence[str]) -> Figure:
    """Top-5 accuracy at each scale setting before and after fine-tuning there (Table 4)."""
    settings = [("256", "256"), ("512", "512"), ("256+512", "256+512"), ("256+512", "per-scale")]
    figure, axes = plt.subplots(1, len(sources), figsize=(4.6 * len(sources), 3.8), sharey=True, squeeze=False)
    for axis, (title, frame) in zip(axes.flat, sources.items(), strict=True):
        ends: dict[str, float] = {}
        axis.set_ylim(0, 1)
        for scale, train_scale in settings:
            name = train_scale if train_scale == "per-scale" else scale
            for network, style in (("original", ":"), ("mix", "-")):
                if (network, train_scale) == ("original", "per-scale"):
                    continue
                wanted = {"scale": scale, "network": network, "metric": "top5"}
                if network == "mix":
                    wanted["train_scale"] = train_scale
                line = select(frame, **wanted).set_index("condition").reindex(list(conditions))
                known = line["value"].notna().to_numpy()
                place = np.arange(len(conditions))[known]
                colour = SCALE_COLOURS[name]
                axis.plot(place, line["value"][known], style, marker=SCALE_MARKS.get(name, "P"), color=colour)
                if network == "mix":
                    ends[name] = float(line["value"].iloc[-1])
        label_ends(axis, len(conditions) - 1, ends, SCALE_COLOURS)
        axis.set(title=title, xticks=range(len(conditions)), xticklabels=conditions)
    axes[0, 0].set_ylabel("top-5 accuracy")
    figure.tight_layout()
    return figure


def verdicts(images: Sequence[torch.Tensor], titles: Sequence[str], right: Sequence[dict[str, bool]], columns: int = 5) -> Figure:
    """Blurred images, each with a mark for each network: a filled disk if it was right, a cross if not (Fig. 3)."""
    figure = gallery(images, titles, columns)
    for axis, marks in zip(figure.axes, right, strict=False):
        for place, (network, good) in enumerate(marks.items()):
            axis.plot(
                0.2 + 0.3 * place, -0.08, "o" if good else "x", color=NETWORK_COLOURS[network], transform=axis.transAxes,
                clip_on=False, markersize=8, markeredgewidth=2.5,
            )  # fmt: skip
    handles = [plt.Line2D([], [], marker="o", linestyle="", color=NETWORK_COLOURS[name], label=name) for name in right[0]]
    figure.legend(handles=handles, loc="lower center", ncols=len(handles), frameon=False, bbox_to_anchor=(0.5, -0.05))
    return figure


def distance_maps(maps: dict[str, dict[str, torch.Tensor]]) -> Figure:
    """Hamming distance at every position of every stage, a row a network: network -> stage -> ``(h, w)`` (Fig. 4)."""
    stages = list(next(iter(maps.values())))
    figure, axes = plt.subplots(len(maps), len(stages), figsize=(1.75 * len(stages) + 0.6, 1.75 * len(maps) + 0.3), squeeze=False)
    for row, (network, by_stage) in zip(axes, maps.items(), strict=True):
        for axis, (stage, distances) in zip(row, by_stage.items(), strict=True):
            shown = axis.imshow(distances.numpy(), cmap="magma", vmin=0, vmax=0.5, interpolation="nearest")
            axis.set(xticks=[], yticks=[], title=f"{stage}: {float(distances.mean()):.2f}")
        row[0].set_ylabel(network)
    figure.tight_layout()
    figure.colorbar(shown, ax=axes, shrink=0.8, label="share of channels that differ")
    return figure


def distance_by_stage(rows: pd.DataFrame, condition: str, unrelated: str) -> Figure:
    """Mean Hamming distance after each stage, with intervals; dotted, that between different images."""
    figure, axis = plt.subplots(figsize=(6.4, 4.2))
    ends: dict[str, float] = {}
    for network in dict.fromkeys(rows["network"]):
        colour = NETWORK_COLOURS[network]
        line = select(rows, network=network, condition=condition)
        axis.plot(line["region"], line["value"], marker="o", color=colour)
        axis.fill_between(line["region"], line["low"], line["high"], color=colour, alpha=0.2, linewidth=0)
        different = select(rows, network=network, condition=unrelated)
        axis.plot(different["region"], different["value"], linestyle=":", color=colour)
        ends[network] = float(line["value"].iloc[-1])
    label_ends(axis, 4, ends, NETWORK_COLOURS)
    axis.set(ylabel="share of channels that differ", ylim=(0, None), xlim=(-0.2, 5))
    figure.tight_layout()
    return figure
