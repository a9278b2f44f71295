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
# # Blur your images
#
# A photograph, a folder of them, or the batches of a training loop, blurred as in the paper. Everything below runs in an empty
# folder that this page made for itself, with photographs that scikit-image carries; put your own in their place.

# %% tags=["parameters", "remove-cell"]
profile = "emoji"
overrides = {}
published = False

# %% tags=["remove-cell"]
import os
import sys
import tempfile
from pathlib import Path

import torch

from blurpaper import blur, kernels
from blurpaper.book import figures
from blurpaper.book.page import Page
from blurpaper.data.examples import album

page = Page(profile, overrides, published)
place = tempfile.TemporaryDirectory(prefix="blurpaper-")
os.chdir(place.name)
os.environ["BLURPAPER_STORE"] = f"{place.name}/store"  # what is tried here stays out of yours
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
album(Path("photos"))

# %% [markdown]
# ## In the shell
#
# A blur is named by its kind and size: `D8` is a defocus disk of radius 8. Folder in, folder out, with the same names:

# %% magic_args="-e" language="bash"
# blurpaper blur photos blurred --psf D8
# ls blurred

# %% [markdown]
# A file that cannot be read is named and left out, and the exit status is then not zero. A name that means no blur is an error that lists those
# that do.
#
# **Sizes.** A name speaks of an image whose smaller side is 384: on a larger photograph the kernel grows with it, so that the
# same name is the same blur to a viewer who sees the whole image. With `--pixels` it is taken in the file's own pixels.
# A photograph of twenty-four megapixels needs about a gigabyte of memory besides the libraries.
#
# **Formats.** Write PNG if somebody is to measure anything afterwards: JPEG adds noise of its own. Transparency comes out on white,
# photographs come out upright, an embedded colour profile is applied, so that all colours are those of sRGB, and deeper levels are rounded to
# eight bits. Levels in floating point have to fill the range from zero to one, or that of eight or of sixteen bits.
#
# ## In Python
#
# Images are `uint8` tensors, a batch or one, on any device; the outcome is rounded to `uint8` once, as a camera would round it.

# %%
from blurpaper.data.images import read_image

cat = read_image("photos/chelsea.png")  # (3, H, W)
scale = min(cat.shape[-2:]) / kernels.CANONICAL
kernel = kernels.psf("D8", scale)
blurred = blur.apply(cat, kernel)
kernel.shape, blurred.dtype, blurred.shape

# %% [markdown]
# That is what the shell did to this file, to the last bit:

# %%
torch.equal(blurred, read_image("blurred/chelsea.png"))

# %% [markdown]
# A batch takes one kernel for all, or a list with one each; `None` or `"sharp"` leaves an image alone. A name alone, such as `"D8"`
# here, is in the pixels of the tensor.

# %%
names = ["sharp", "D4", "D8", "H8", "V8", "G4", "shake:17"]
batch = blur.apply(torch.stack([cat] * len(names)), names)
batch.shape

# %% tags=["hide-input"]
page.photograph(
    figures.gallery([image[:, 20:280, 130:390] for image in batch], names, columns=4),
    caption="A detail of one photograph under every kind of blur (photograph: Stéfan van der Walt, CC0, from scikit-image).",
    alt="A cat's face seven times: sharp, softer, strongly blurred, smeared sideways, smeared up and down, softly blurred, and smeared "
    "along a curved path.",
)

# %% [markdown]
# ## In a training pipeline
#
# `RandomBlur` is a transform like those of torchvision (v2): each image of a batch draws its own blur. It stands before what turns
# images into floats. Within `torch.compile` it runs as it is, between two graphs.

# %%
from torchvision.transforms import v2

pipeline = v2.Compose(
    [
        v2.RandomCrop(224),
        blur.RandomBlur({"sharp": 0.5, "D2": 0.25, "shake": 0.25}, scale=scale),
        v2.ToDtype(torch.float32, scale=True),
    ]
)
torch.manual_seed(0)
pipeline(cat).shape

# %% [markdown]
# ## What goes wrong
#
# Blur of floats would not be what the protocol shows to a network, so it is refused; so is a kernel that changes how bright the image
# is, or that has no middle.

# %%
for images, psf in ((cat / 255, "D8"), (cat, torch.ones(5, 5)), (cat, torch.full((4, 4), 1 / 16))):
    try:
        blur.apply(images, psf)
    except (TypeError, ValueError) as error:
        print(f"{type(error).__name__}: {error}")

# %% [markdown]
# A kernel wider than the image is no error: the image is mirrored as often as it takes. The colours of the outcome stay between
# the darkest and the brightest of the input; if yours look darker at the borders, they were blurred by something that pads with zeros.
#
# **Further.** [A kernel of your own](23_add_a_kernel) · [the reference](../book/reference/blurpaper) · [every kernel of the paper](01_kernels)
