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
# # Extend it: a kernel, a network, a data set
#
# To measure a network or images of your own, nothing has to be added: see [how to use it](20_use_it). This page adds a kernel, a network
# and a data set to a checkout, under names that the commands, the profiles and the tests know. `CONTRIBUTING.md` says where
# everything else is added.

# %% tags=["parameters"]
profile = "emoji"
overrides = {}
published = False

# %%
from blurpaper.book.chapter import begin

run, show = begin(profile, overrides, published)
run

# %% [markdown]
# ## A kernel
#
# A mirror lens spreads a point that is out of focus into a ring. A PSF is a non-negative array with odd sides and unit sum, centred on its
# middle element; `blur.apply` takes any such array, as `--psf` takes a file of one (`.npy`):

# %%
import numpy as np
import torch

from blurpaper import blur, networks
from blurpaper.data import examples
from blurpaper.evaluation.protocol import network_input

y, x = np.mgrid[-6:7, -6:7]
radius = np.hypot(x, y)
ring = ((radius <= 6) & (radius > 3)).astype(np.float32)
ring /= ring.sum()

# %%
network = networks.load("efficientnet_lite0")
photographs, answers = examples.batch()
for name, psf in {"sharp": "sharp", "disk": "D6", "ring": ring}.items():
    seen = network_input(blur.apply(photographs, psf), 256, canonical=384)
    with torch.inference_mode():
        p = network.log_probabilities(seen).softmax(dim=1)
    guesses = [network.classes[number] for number in p.argmax(dim=1)]
    print(f"{name:5}", guesses, p.max(dim=1).values.numpy().round(2))

# %% [markdown]
# To be a condition, a kernel needs a name. The letter of that name is an entry of the registry `KINDS`: a description, a function from the
# size to the kernel at the paper's scale, and a function from that kernel to the same blur at another scale, which keeps the standard
# deviation along each axis in proportion. In `blurpaper/kernels.py`, below the registry:
#
# ```python
# def _less(outer, inner):
#     """A shape with another cut out of its middle."""
#     return outer - np.pad(inner, (len(outer) - len(inner)) // 2)
#
#
# def _ring(radius):
#     return _less(_disk(radius), _disk(radius / 2))
#
#
# def _ring_area(radius):
#     return _less(_disk_area(radius), _disk_area(radius / 2))
#
#
# def _sampled_ring(kernel, scale):
#     return _of_variance(_ring_area, scale**2 * axis_variance(kernel)[1])
#
#
# KINDS["R"] = Kind("the outer radius of a ring", _ring, _sampled_ring)
# ```
#
# The tests then cover it, and every command takes `R6`:
#
# ```sh
# python -m pytest tests/test_kernels.py
# blurpaper evaluate --network efficientnet_lite0 --images photos --conditions sharp,R6
# ```
#
# Since every result depends on the kernels, the next run computes all of them anew.
#
# ## A network
#
# A `Network` takes RGB images in grey levels, normalises them itself, and returns a map of logits. It shows five stages, each at half
# the resolution of the one before, which [the chapter on invariance](05_invariance) compares:

# %%
import pandas as pd

with torch.inference_mode():
    maps = network.stage_maps(network.normalised(seen))
sizes = {stage: tuple(one.shape) for stage, one in maps.items()}
pd.DataFrame.from_dict(sizes, "index", columns=["images", "channels", "height", "width"])

# %% [markdown]
# A network whose layers are applied one after another defines `stages`, a list of five modules, and `classify`, as `blurpaper/networks/vgg.py`
# does. A variant of a network can be a subclass. This one, at the end of `blurpaper/networks/residual.py`, sees no colour:
#
# ```python
# LUMA = (0.299, 0.587, 0.114)  # red, green and blue in brightness (ITU-R BT.601)
#
#
# class GreyEfficientNetLite(EfficientNetLite):
#     """An EfficientNet-Lite that sees brightness alone."""
#
#     def normalised(self, images):
#         shares = images.new_tensor(LUMA, dtype=torch.float32).view(1, 3, 1, 1)
#         brightness = (images.float() * shares).sum(dim=1, keepdim=True)
#         return super().normalised(brightness.expand(-1, 3, -1, -1))
#
#
# def efficientnet_lite0_grey(classes, field=224):
#     """EfficientNet-Lite0 without colour."""
#     return GreyEfficientNetLite(classes, "tf_efficientnet_lite0", field)
# ```
#
# Its name goes into `MODELS` in `networks/__init__.py`, and, if it has published weights, their source into `ORIGINALS` in
# `networks/weights.py`:
#
# ```python
# "efficientnet_lite0_grey": "blurpaper.networks.residual",
# ```
#
# ```python
# "efficientnet_lite0_grey": partial(
#     original_efficientnet, residual.efficientnet_lite0_grey, "lite0"
# ),
# ```
#
# ```sh
# python -m pytest tests/networks tests/segmentation/test_zoomout.py
# blurpaper chapter 02 --profile photos -p model=efficientnet_lite0_grey
# ```
#
# ## A data set
#
# A folder is enough for every command. Its subfolders may be named by classes or by WordNet ids, as ImageNet's are:

# %%
import tempfile
from pathlib import Path

from blurpaper.data import folders

names = ["Egyptian cat/chelsea", "n07920052/coffee"]
images = folders.load_folder(examples.album(Path(tempfile.mkdtemp()), names))
classes = [images.classes[label] for label in images.labels]
print("fingerprint:", images.fingerprint)
pd.DataFrame({"image": images.ids, "label": images.labels, "class": classes})

# %% [markdown]
# The fingerprint is a hash of the content. It is part of the key of every result, so a result is computed anew when an image changes.
# Images that do not lie in a folder need an `ImageSet` with a fingerprint of its own:
#
# ```python
# class ArraySet(ImageSet):
#     """Images of an .npz file: ``images``, uint8 ``(N, 3, H, W)``, and ``labels``."""
#
#     def __init__(self, path, classes):
#         with np.load(path) as file:
#             self.pixels, labels = file["images"], file["labels"].astype(np.int64)
#         ids = [f"{path.stem}/{number:06}" for number in range(len(labels))]
#         super().__init__(path.stem, classes, labels, ids, sha256_of(path)[:16])
#
#     def __getitem__(self, number):
#         return torch.from_numpy(self.pixels[number])
# ```
#
# Photographs that a profile names need an entry in `CATALOGUE` in `blurpaper/data/catalogue.py`:
#
# ```python
# PhotographSet(
#     name="mine",
#     what="photographs of my street",
#     licence="mine",
#     folders={"test": "mine/val"},
#     counts={"test": 250},
#     by_hand="copy them to mine/val, a subfolder a class",
# ),
# ```
#
# ```sh
# python -m pytest tests/data
# blurpaper data verify mine
# blurpaper chapter 02 --profile photos -p "evaluation.test_sets=[mine]"
# ```
#
# **Limits.** Labels are numbers of the network's classes, in its order, and `-1` where there is none. Images smaller than the canonical scale are
# enlarged, which blurs them before any PSF does.
#
# ## Exercises
#
# 1. Make the ring thinner, with `radius > 5`. The probability of the cat falls, and that of the cup rises.
# 2. Add `"holiday/moon"` to `names`. Nothing is loaded, since some folders name classes and this one does not; the error names it.
