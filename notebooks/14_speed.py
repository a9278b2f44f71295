# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Speed
#
# How fast all this is, beside the best of others, and how near to what the machine allows. The numbers are those that were
# committed (`results/bench.json`); `blurpaper bench` measures them anew: everything warm, in one process, in turns, medians of
# several rounds, each library in its best form and with all threads.

# %% tags=["parameters", "remove-cell"]
profile = "emoji"
overrides = {}
published = False

# %% tags=["remove-cell"]
import pandas as pd

from blurpaper import figures, results, speed
from blurpaper.page import Page

page = Page(profile, overrides, published)
measured, on_gpu = speed.committed(), speed.committed("bench.gpu")


def rows(name):
    return measured.get(name, {}).get("rows", [])


def show(name, caption, chosen=None):
    if rows(name):
        page.table(
            speed.as_html(chosen or rows(name)), f"{caption} {speed.machine_of(measured[name])}"
        )
    else:
        page.say(f"Not measured: `blurpaper bench {name} --out results/bench.json`.")


# %% [markdown]
# ## Blurring
#
# A batch of photographs in eight bits, one PSF for each, eight bits out. No library is beaten by leaving something out: the border is
# mirrored, the sum is exact or in floating point and is rounded once, and a column says how far each library is from the exact
# convolution at most. A half is what rounding takes; more is error.

# %% tags=["remove-input"]
if rows("blurring"):
    frame = pd.DataFrame(rows("blurring"))
    best = (
        frame[(frame["library"] != "blurpaper") & (frame["off by"] <= 1)]
        .groupby("psf")["images/s"]
        .max()
    )
    ours = frame[frame["library"] == "blurpaper"].set_index("psf")["images/s"]
    ratio = (ours / best).reindex(frame["psf"].unique())
    page.say(
        "Images a second of blurpaper, in multiples of the fastest library that is within one grey level of exact: "
        + ", ".join(f"`{name}` {value:.1f}" for name, value in ratio.items())
        + "."
    )
    wide = frame.pivot(index="library", columns="psf", values="images/s")[list(ratio.index)]
    wide["off by"] = frame.groupby("library")["off by"].max()
    wide = wide.sort_values("D8", ascending=False).reset_index()
    show(
        "blurring",
        "Images a second by library and PSF; the last column: grey levels from exact, at most.",
        wide.to_dict("records"),
    )
else:
    show("blurring", "")

# %% [markdown]
# How it is done: a disk is flat, so the sum over each of its rows is the difference of two running sums, in whole numbers of two
# bytes; a Gaussian is blurred along its columns, then along its rows; camera shake and small PSFs are the sum of their non-zero taps;
# and what is left, large PSFs of no structure, goes through Fourier transforms. Each row of an image is prepared once and stays in the
# cache while a PSF reaches it. What the machine allows is below: the time to read and write the bytes once, as a copy does, and
# the time that the additions and the running sums would take on a row that stays in the nearest cache. Ours runs by itself here, not in turns
# with the others.

# %% tags=["remove-input"]
show(
    "limits",
    "Images a second: reached, allowed by the bytes alone and by the operations alone, and the share reached of what both allow.",
)

# %% [markdown]
# ## Table 1 as a whole
#
# Every condition of Table 1 at every scale, on photographs, with EfficientNet-Lite0. The plain pipeline is what one would write first: for each
# condition and scale, a photograph is decoded, resized, blurred by the fastest library for that PSF, resized again, and given to
# the network in single precision. Ours decodes once for all conditions, blurs once for all scales, and gives the network batches
# in bfloat16 and in the memory layout that its convolutions prefer.

# %% tags=["remove-input"]
if rows("table1"):
    page.figure(
        figures.stages(rows("table1"), "pipeline", ("decode", "resize", "blur", "network")),
        "Where the time goes.",
        "Horizontal bars, one for each pipeline, divided into the seconds spent decoding, resizing, blurring and in the network; "
        "the network has by far the largest part of each.",
    )
show("table1", "Seconds for the whole table, and of its stages.")

# %% [markdown]
# ## Fine-tuning
#
# Batches with blur on the fly beside batches without, and the plain loop in single precision (without blur).

# %% tags=["remove-input"]
show("finetuning", "Images a second, and memory at its peak.")

# %% [markdown]
# ## Deblurring
#
# EPLL beside cheaper methods, and deepinv's EPLL with the same prior. The cheaper methods have the constants that are best on these very images.

# %% tags=["remove-input"]
show("deblurring", "PSNR under <code>D8</code>, and seconds for a photograph.")

# %% tags=["remove-input"]
show("priors", "Priors learnt in the same time.")

# %% [markdown]
# ## Growth
#
# Evaluation of a folder of photographs, and blur alone, against what they could grow with. One part of a set is in memory
# at a time: memory grows a little until a part is full, far slower than the number of images.

# %% tags=["remove-input"]
if rows("growth"):
    page.figure(
        figures.growth(rows("growth"), rows("exponents")),
        "Time and peak memory, with the power by which each grows. Dotted: growth in proportion.",
        "Panels with logarithmic axes of seconds and of megabytes against the number of images, their size, the size of the PSF and the "
        "number of threads; time grows in proportion to the number of images, memory hardly at all.",
    )
show("exponents", "The powers, by least squares through the logarithms.")

# %% [markdown]
# ## Beginning, and whole runs

# %% tags=["remove-input"]
show("starting", "Seconds of a process from its start to its end.")
show(
    "whole",
    "Seconds of <code>blurpaper run</code> from an empty store, and again: executed chapters are kept as all else.",
)

# %% tags=["remove-input"]
timings = pd.DataFrame(results.published_timings("emoji"))
if len(timings):
    timings["seconds"] = timings["seconds"].astype(float)
    spent = (
        timings.groupby("kind")["seconds"]
        .agg(["count", "sum"])
        .sort_values("sum", ascending=False)
        .reset_index()
    )
    spent.columns = ["artifacts", "how many", "seconds"]
    page.table(
        speed.as_html(spent.to_dict("records")),
        "What the time of the profile emoji went to, by kind of artifact.",
    )

# %% [markdown]
# ## On a GPU
#
# The paper's own networks with random weights, on images made up. *Share* is the part of the data sheet's peak for bfloat16 (TF32's where that is used).
# The whole loop is held up by the making of batches, many small operations on photographs of many shapes; that is what `--dry-run` reckons with.

# %% tags=["remove-input"]
for part, caption in (
    ("train", "Steps of training, on a batch that is there."),
    ("loop", "Making batches alone, and training with batches made on the fly."),
    (
        "classify",
        "Classification; the last column is the whole protocol, blur and resizing included.",
    ),
    ("blur", "Blurring."),
    ("deblur", "Deblurring."),
):
    if part in on_gpu:
        page.table(
            speed.as_html(on_gpu[part]), f"{caption} {on_gpu['device']}, torch {on_gpu['torch']}."
        )
