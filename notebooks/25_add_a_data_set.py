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
# # Add a data set
#
# Three ways, from the quickest to the most lasting: a folder, an object in memory, a name that profiles and the verb `data` know.

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
import torch

from blurpaper.book.page import Page
from blurpaper.data.examples import album
from blurpaper.runs import Run
from blurpaper.runs import profile as profiles

page = Page(profile, overrides, published)
place = tempfile.TemporaryDirectory(prefix="blurpaper-")
os.chdir(place.name)
os.environ["BLURPAPER_STORE"] = f"{place.name}/store"  # what is tried here stays out of yours
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
album(Path("photos"), ["Egyptian cat/chelsea", "espresso/coffee"])

# %% [markdown]
# ## A folder
#
# A subfolder a class, named as the network names it, or by its WordNet id, as in ImageNet:

# %% language="bash"
# ls photos/*

# %% [markdown]
# Then there is a truth, and the numbers are accuracies; in a bare folder, or where no subfolder names a class, they are agreement with what is said of
# the sharp image.

# %% language="bash"
# blurpaper evaluate --network efficientnet_lite0 \
#   --images photos --conditions sharp,D8

# %% [markdown]
# If some subfolders are classes and others are not, somebody meant something, and nothing is measured: the error names a subfolder that is none.
#
# The names of ImageNet's classes are those of timm. Case, hyphens and underscores do not matter, but where two classes differ in nothing else.

# %%
from blurpaper.data.sets import imagenet_names, imagenet_wnids

number = imagenet_names().index("Egyptian cat")
imagenet_names()[number], imagenet_wnids()[number]

# %% [markdown]
# ## An object
#
# A set is whatever is an `ImageSet`: pixels by number, labels, and a fingerprint, which stands for the images in the key of everything that is made of them. Here,
# images that lie in one array, as scientific data often does:

# %%
from blurpaper.data import ImageSet
from blurpaper.runs.store import sha256_of


class ArraySet(ImageSet):
    """Images in an .npz file: ``images`` uint8 ``(N, 3, H, W)`` and ``labels`` ``(N,)``."""

    def __init__(self, path: Path, classes: tuple[str, ...]) -> None:
        with np.load(path, allow_pickle=False) as file:
            self._pixels, labels = file["images"], file["labels"].astype(np.int64)
        ids = [f"{path.stem}/{number:06}" for number in range(len(labels))]
        super().__init__(path.stem, classes, labels, ids, fingerprint=sha256_of(path)[:16])

    def __getitem__(self, number: int) -> torch.Tensor:
        return torch.from_numpy(self._pixels[number])


# %% [markdown]
# Its file, made here of the corners of one photograph:

# %%
from blurpaper.data.images import read_image

cat = read_image("photos/Egyptian cat/chelsea.png").numpy()
np.savez(
    "cats.npz",
    images=[cat[:, :256, :320], cat[:, -256:, :320], cat[:, :256, -320:], cat[:, -256:, -320:]],
    labels=[number] * 4,
)
cats = ArraySet(Path("cats.npz"), imagenet_names())
len(cats), cats[0].shape, cats.fingerprint

# %% [markdown]
# Networks look at it by way of the store, which computes once and loads afterwards:

# %%
from blurpaper.evaluation import metrics, predictions
from blurpaper.networks import NetworkSpec
from blurpaper.runs.store import Store
from blurpaper.training.networks import trained

run = Run(profiles.load("photos"), Store())
network = trained(NetworkSpec("efficientnet_lite0"), run)
found = predictions.log_probabilities(network, cats, ["sharp", "D8"], ["256"], run)
for condition, by_scale in found.items():
    terms = metrics.per_image(metrics.decide(by_scale["256"], cats.labels))
    print(
        f"{condition:5}  top-1 {terms['top1'].mean():.2f}  entropy {terms['entropy'].mean():.2f} nats"
    )

# %%
print(*(name for name in run.store.names() if "cats" in name), sep="\n")

# %% [markdown]
# Change the file, and the fingerprint changes and with it the key; a set whose fingerprint does not depend on its images would be given the predictions of others. So take
# the hash of the content, or of whatever the images are made from.
#
# To learn from such a set, put it where `finetune.finetune` puts its folder: into a `Task`, with a mix and a scale.

# %%
from blurpaper.kernels import MIXES
from blurpaper.training.batches import Task, make_batch

task = Task(cats, MIXES["mix"], "256", seed=0)
batch = make_batch(
    task, [0, 1], epoch=0, settings=run.profile.protocol, flip=True, device=torch.device("cpu")
)
batch.seen.shape, batch.labels.tolist()

# %% [markdown]
# ## A name
#
# Sets that the chapters use have names. Those of photographs in folders stand in `folders.SETS`, with the folders of their splits below the data folder. Within
# a session that can be tried; the fingerprint of a folder is that of its files, so that no key depends on the name alone.

# %%
from blurpaper import data
from blurpaper.data import folders

os.environ["BLURPAPER_DATA"] = str(Path.cwd())
folders.SETS["mine"] = {"test": "photos"}
mine = data.load_images("mine", "test", run)
print(len(mine), mine.name, mine.ids, mine.labels, mine.fingerprint)
del folders.SETS["mine"]

# %% [markdown]
# **For good**, in a checkout: an entry of `CATALOGUE` in `blurpaper/data/catalogue.py`, which says what it is, under which licence, where its splits lie,
# how many images are whole, and where it can be had, or that it cannot be fetched and what to do.
#
# ```python
# PhotographSet(
#     name="mine",
#     what="photographs of my street",
#     licence="mine",
#     folders={"test": "mine/val"},
#     counts={"test": 250},
#     by_hand="it is on my disk: copy it to mine/val/<class>/",
# ),
# ```
#
# The tests run over it: that what is missing is reported in a sentence with how to get it, and that names in the list of known sets are
# those that can be loaded.
#
# ```sh
# python -m pytest tests/data
# ```
#
# Then a profile names it, and the verbs know it:
#
# ```sh
# blurpaper data list
# blurpaper data verify mine
# blurpaper chapter 02 --profile photos -p "evaluation.test_sets=[mine]"
# ```
#
# **Images with a label at every pixel** are a `SegmentedSet`, which has a `label_map(number)` besides; `load_segmented` in `blurpaper/data/__init__.py` makes it by name.
#
# **What goes wrong.** Fewer than one broken image in a hundred are left out and named; more are an error. Labels must be numbers of the network's classes, in
# its order; of images without a label they are minus one. Images smaller than the canonical scale are enlarged, which blurs them before any PSF does.
#
# **Further.** [The data of this book](11_choices) · [the reference](../book/reference/blurpaper)
