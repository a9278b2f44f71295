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
# # Blurs
#
# Spatially uniform blur is a convolution of the sharp image $x$ with a point-spread function $k$ that is non-negative and
# sums to one, after which the camera rounds to eight bits:
#
# $$ y = \operatorname{round}(k * x), \qquad k \ge 0, \quad \sum_u k(u) = 1. $$
#
# This chapter shows the kernels of the paper (Fig. 2), and what they do to an image.

# %% tags=["parameters", "remove-cell"]
profile = "emoji"
overrides = {}
published = False

# %% tags=["remove-cell"]
import numpy as np

from blurpaper import blur, kernels
from blurpaper.book import figures
from blurpaper.book.page import RUN, Page
from blurpaper.evaluation import results

page = Page(profile, overrides, published)

# %% [markdown]
# ## The kernels
#
# A kernel is a small array, found by its name.

# %%
kernels.psf("D2").round(3)

# %% [markdown]
# Defocus is a disk, the image of the aperture. Motion in a straight line is a row or a column of equal taps. Camera shake is
# a random smooth path, drawn as a spline through six points of a grid, with an intensity that varies along it. Gaussians
# are what earlier work used.

# %% tags=["hide-input"]
page.figure(
    figures.psfs(["D2", "D4", "D8", "H8", "V8", "G4", "shake:0", "shake:1", "shake:2"]),
    caption="Kernels on one pixel grid, each scaled to its own maximum (the paper's Figure 2, and one of the Gaussians of its Table 1).",
    alt="Nine small grey-scale arrays: three disks of growing radius, a horizontal and a vertical bar, a soft Gaussian spot, "
    "and three thin curved paths.",
)

# %% [markdown]
# How strong is each? The root-mean-square distance of a kernel's mass from its middle puts all kinds on one axis.

# %% tags=["hide-input"]
bank = kernels.shake_bank("test")
shake = np.array([np.sqrt(kernels.axis_variance(kernel).sum()) for kernel in bank])
names = ["D2", "D4", "D6", "D8", "H4", "H8", "V4", "V8", "G4", "G8"]
radius = {name: float(np.sqrt(kernels.axis_variance(kernels.psf(name)).sum())) for name in names}
cells = "".join(f"<td>{value:.2f}</td>" for value in radius.values())
heads = "".join(f'<th scope="col">{name}</th>' for name in radius)
page.table(
    f'<table class="blurpaper"><thead><tr>{heads}<th scope="col">shake, mean</th></tr></thead>'
    f"<tbody><tr>{cells}<td>{shake.mean():.2f}</td></tr></tbody></table>",
    "Root-mean-square radius of each kernel, in pixels of the canonical 384.",
    {
        RUN: results.table(
            {"experiment": "kernels", "condition": name, "metric": "radius", "value": value}
            for name, value in [*radius.items(), ("shake", shake.mean())]
        )
    },
)

# %% tags=["remove-input"]
page.say(
    f"Camera shake (mean {shake.mean():.1f} px, from {shake.min():.1f} to {shake.max():.1f}) lies between `D6` "
    f"({radius['D6']:.1f}) and `D8` ({radius['D8']:.1f}), which is also where the paper's accuracy under shake lies. A disk of "
    f"radius 8 spreads as far as a Gaussian of standard deviation 4 ({radius['G4']:.1f}): the two Gaussians of Table 1, whose "
    "sizes the copy of the paper lost, are taken to be `G4` for that reason, and `G8` of twice its size."
)

# %% [markdown]
# ## What they do to an image

# %% tags=["hide-input"]
import torch

from blurpaper.data import images
from blurpaper.data.examples import EXAMPLES, photograph

cat = images.to_canonical(photograph(EXAMPLES[0]), kernels.CANONICAL)
shown = ["sharp", "D4", "D8", "H8", "shake:0"]
blurred = blur.apply(torch.stack([cat] * len(shown)), shown)
page.photograph(
    figures.gallery([image[:, 40:296, 140:396] for image in blurred], shown),
    caption=f"A detail of a photograph at the canonical scale, sharp and blurred (photograph: {EXAMPLES[0].source}).",
    alt="A cat's face five times: sharp, slightly soft, strongly blurred, smeared horizontally, and smeared along a path.",
)

# %% [markdown]
# The boundary is a mirror, so that no dark frame tells the network that an image was blurred. The result is rounded to eight
# bits before the network sees it, as a camera would round it.
#
# ## The same blur at another size
#
# Kernels are defined at a smaller side of 384. A profile with smaller images shrinks them so that the spread along each axis
# shrinks in proportion; merely averaging a disk of radius 2 over pixels four times as large would leave no blur.

# %% tags=["hide-input"]
ratio = page.profile.protocol.canonical / kernels.CANONICAL
sizes = ["D2", "D4", "D8", "H8", "G4"]
rows = "".join(
    f'<tr><th scope="row">{name}</th><td>{"×".join(map(str, kernels.psf(name).shape))}</td>'
    f"<td>{'×'.join(map(str, kernels.psf(name, ratio).shape))}</td>"
    f"<td>{np.sqrt(kernels.axis_variance(kernels.psf(name)).max()):.2f}</td>"
    f"<td>{np.sqrt(kernels.axis_variance(kernels.psf(name, ratio)).max()):.2f}</td></tr>"
    for name in sizes
)
page.table(
    '<table class="blurpaper"><thead><tr><th scope="col">kernel</th><th scope="col">array at 384</th>'
    f'<th scope="col">array at {page.profile.protocol.canonical}</th><th scope="col">spread at 384, px</th>'
    f'<th scope="col">spread at {page.profile.protocol.canonical}, px</th></tr></thead><tbody>{rows}</tbody></table>',
    "Kernels at the canonical scale of the paper and at this profile's. Spread: standard deviation along the widest axis.",
    {
        RUN: results.table(
            {
                "experiment": "kernels",
                "condition": name,
                "scale": round(kernels.CANONICAL * size),
                "metric": metric,
                "value": value,
            }
            for name in sizes
            for size in dict.fromkeys((1, ratio))
            for array in [kernels.psf(name, size)]
            for metric, value in (
                ("rows", array.shape[0]),
                ("columns", array.shape[1]),
                ("spread", np.sqrt(kernels.axis_variance(array).max())),
            )
        )
    },
)
