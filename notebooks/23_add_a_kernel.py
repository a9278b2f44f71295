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
# # Add a kernel
#
# A lens with a mirror in it blurs what is out of focus to a ring. The paper has no ring. Here one is made, tried on a photograph,
# shown to two networks by the paper's protocol, and then, if it is to stay, written into the library, whose tests then cover it.

# %% tags=["parameters", "remove-cell"]
profile = "emoji"
overrides = {}
published = False

# %% tags=["remove-cell"]
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

from blurpaper import blur, kernels
from blurpaper.book import figures
from blurpaper.book.page import Page
from blurpaper.data.examples import album
from blurpaper.runs import Run

page = Page(profile, overrides, published)
place = tempfile.TemporaryDirectory(prefix="blurpaper-")
os.chdir(place.name)
os.environ["BLURPAPER_STORE"] = f"{place.name}/store"  # what is tried here stays out of yours
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
album(Path("photos"))

# %% [markdown]
# ## An array will do
#
# A PSF is an array of odd sides, not negative, of unit sum, centred on its middle element. `blur.apply` takes any.

# %%
from blurpaper.data.images import read_image

y, x = np.mgrid[-6:7, -6:7]
squares = x * x + y * y
ring = ((squares <= 6**2) & (squares > 3**2)).astype(np.float32)
ring /= ring.sum()

cat = read_image("photos/chelsea.png")
seen = blur.apply(cat, ring)

# %% tags=["hide-input"]
page.photograph(
    figures.gallery(
        [one[:, 20:280, 130:390] for one in (cat, blur.apply(cat, "D6"), seen)],
        ["sharp", "D6", "a ring"],
        columns=3,
    ),
    caption="A disk, and a ring of the same radius (photograph: Stéfan van der Walt, CC0, from scikit-image).",
    alt="A cat's face three times: sharp, blurred by a disk, and blurred by a ring, which leaves double edges.",
)

# %% [markdown]
# In the shell, `--psf` takes it from a file: numpy's `.npy`, or a picture whose grey levels are the weights, such as that of a point of
# light. Its pixels are those of the image. `deblur` takes it likewise.

# %%
np.save("ring.npy", ring)

# %% language="bash"
# blurpaper blur photos/chelsea.png ringed.png --psf ring.npy

# %%
bool((read_image("ringed.png") == seen).all())

# %% [markdown]
# ## A name is better
#
# Networks are measured under conditions, and a condition is a name. What a letter means is a line of the registry `kernels.KINDS`: a
# sentence, a function from the size to the kernel at the paper's scale, and one that makes of that kernel the same blur at another
# scale. The second is there because profiles with smaller images need smaller kernels: it has to keep the spread, the standard deviation
# along each axis, in proportion. The helpers are those that the disk itself is made with.

# %%
from blurpaper.kernels import KINDS, Kind, _disk, _disk_area, _of_variance, axis_variance


def _less(outer, inner):
    """A shape with another cut out of its middle."""
    return outer - np.pad(inner, (len(outer) - len(inner)) // 2)


def _ring(radius):
    return _less(_disk(radius), _disk(radius / 2))


def _ring_area(radius):
    return _less(_disk_area(radius), _disk_area(radius / 2))


def _sampled_ring(kernel, scale):
    return _of_variance(_ring_area, scale**2 * axis_variance(kernel)[1])


KINDS["R"] = Kind("the outer radius of a ring", _ring, _sampled_ring)
kernels.psf("R6").shape, np.allclose(kernels.psf("R6"), ring)

# %% [markdown]
# Does the blur keep its meaning where images are smaller? At each scale, the spread along an axis over the scale should be that of the
# paper's kernel:

# %%
for scale in (1, 0.5, 0.28):
    spread = np.sqrt(axis_variance(kernels.psf("R6", scale))[1])
    print(
        f"at {scale:4} of the paper's size: {kernels.psf('R6', scale).shape}, spread / scale {spread / scale:.2f} pixels"
    )

# %% [markdown]
# ## Through the protocol
#
# Now every function that takes a condition takes `R6`. A folder without labels gives the share of photographs on which the network says
# what it says of them sharp, and its entropy in nats.

# %%
import pandas as pd

from blurpaper.evaluation import folder
from blurpaper.networks.weights import named
from blurpaper.runs import profile as profiles
from blurpaper.runs.store import Store
from blurpaper.training.networks import reference

settings, photos, conditions = profiles.load("photos"), Path("photos"), ["sharp", "D6", "R6"]
run, names = Run(settings, Store()), ["efficientnet_lite0", "efficientnet_lite0:mix/agreement"]
networks = [reference(named(name), run) for name in names]
rows = pd.concat(folder.measure(one, photos, conditions, ["256"], run).rows for one in networks)
rows.pivot(index=["network", "condition"], columns="metric", values="value").round(2)

# %% [markdown]
# A disk is a full ring, so that one might expect the ring to cost more: the same reach, with nothing in the middle. Two photographs can
# show no such thing; this says that it works.
#
# **What goes wrong.** `Store()` is here one of this page's own, and should be of yours while you try. What the store keeps is found again
# by the text of the library and the names of the conditions, and `R6` is a name: if you change what the letter means in a session,
# results under the old meaning would be loaded. Written into `kernels.py`, as below, a change of the meaning is a change of the text, and all that depends on
# it is made anew.

# %%
del KINDS["R"]
try:
    kernels.psf("R6")
except ValueError as error:
    print(error)

# %% [markdown]
# ## For good
#
# In a checkout, write the functions above into `blurpaper/kernels.py`, below `_disk_area` and its like, and one line into the registry:
#
# ```python
# KINDS: dict[str, Kind] = {
#     ...
#     "R": Kind("the outer radius of a ring", _ring, _sampled_ring),
# }
# ```
#
# The tests run over the registry: unit sum, no negative tap, odd sides, the middle in the middle, the spread in proportion at five scales,
# a larger size being more blur, names read and written alike.
#
# ```sh
# python -m pytest tests/test_kernels.py
# ```
#
# Then the verbs know it too, and a profile can list it among `evaluation.original_conditions`:
#
# ```sh
# blurpaper blur photos blurred --psf R6
# blurpaper evaluate --network efficientnet_lite0 --images photos --conditions sharp,D6,R6
# ```
#
# As kernels are among what every result is made from, a line more there makes all of them stale: the next run computes them anew.
#
# **Further.** [The kernels of the paper](01_kernels) · [the reference](../book/reference/blurpaper)
