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
# # Measure your model
#
# How much does blur cost a classifier of yours, and does it know? Any torch module that gives logits will do: one in memory, one of timm or
# torchvision, or one that a function of yours makes. It is shown images by the paper's protocol, so that its numbers stand beside those of this book.

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

from blurpaper.book.page import Page
from blurpaper.data.examples import album
from blurpaper.networks.weights import ORIGINALS

page = Page(profile, overrides, published)
place = tempfile.TemporaryDirectory(prefix="blurpaper-")
os.chdir(place.name)
os.environ["BLURPAPER_STORE"] = f"{place.name}/store"  # what is tried here stays out of yours
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
album(Path("photos"), ["Egyptian cat/chelsea", "espresso/coffee"])

import timm  # after the page, which silences what it says of widgets

model = timm.create_model("tf_efficientnet_lite0", pretrained=False)
given = (
    ORIGINALS["efficientnet_lite0"](224).body.state_dict().values()
)  # the same layers in the same order
model.load_state_dict(
    {
        name: tensor.reshape(own.shape)
        for (name, own), tensor in zip(model.state_dict().items(), given, strict=True)
    }
)

# %% [markdown]
# ## One call
#
# Here `model` is timm's EfficientNet-Lite0, as timm makes it, with ImageNet weights; take your own. What it wants its input normalised with has to be said:
# a module does not tell. Grey levels are there between zero and one, as is usual.

# %%
from blurpaper.evaluation import evaluate_module

MEAN, STD = (127 / 255,) * 3, (128 / 255,) * 3
rows = evaluate_module(model, "photos", ["sharp", "D8"], mean=MEAN, std=STD)
rows.pivot(index="condition", columns="metric", values="value").round(3)

# %% [markdown]
# The folder names classes, so these are accuracies, entropy in nats and calibration error. In a folder that names none, the number is
# agreement: how often it says of the blurred image what it says of the sharp one. Intervals are in the rows, in `low` and `high`: of two photographs
# they say nothing, of a thousand they are a few points wide.

# %%
rows[["condition", "metric", "value", "low", "high", "n"]].head(4)

# %% [markdown]
# ## In the shell
#
# A model of timm or torchvision has a name, `timm/NAME` or `torchvision/NAME`, and brings its weights from its hub, its input and its size. Your own weights come in
# a file of safetensors, which holds tensors and cannot run code:

# %%
from safetensors.torch import save_file

save_file(
    {name: tensor.contiguous() for name, tensor in model.state_dict().items()}, "mine.safetensors"
)

# %% language="bash"
# blurpaper evaluate --network timm/tf_efficientnet_lite0 --weights mine.safetensors \
#   --mean 0.498 --std 0.502 --images photos --conditions sharp,D8 \
#   --out t.csv --report report.html

# %% [markdown]
# `t.csv` has the rows; `report.html` is one file to hand on, with the figure, the table, and images on which the answer changes; of
# fifty labelled images or more, also with the confidence from which on answers are right as often as on sharp images.

# %% [markdown]
# A model that no library has is made by a function of yours, named by its dotted path; it is looked for in the current folder and wherever Python
# looks. This one has random weights and two classes, whose names are the subfolders':

# %%
_ = Path("my_models.py").write_text(
    """
import torch
from torch import nn

def tiny():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2))
"""
)

# %% language="bash"
# blurpaper evaluate --network my_models.tiny --field 64 \
#   --images photos --conditions sharp,D8

# %% [markdown]
# ## What to expect
#
# Networks that were trained on sharp photographs lose accuracy with every blur and become less sure ([chapter 02](02_pretrained)). Compare with the network of this
# book on your own images, and with the one that was made robust:

# %% language="bash"
# blurpaper evaluate --network efficientnet_lite0:mix/agreement \
#   --images photos --conditions sharp,D8

# %% [markdown]
# A model that pools over all positions is given whole images, at each scale of the paper, of which 256 goes with a crop of 224. One of a fixed size, such as a vision
# transformer, is given the centre; what is printed says which. Networks of this book classify at every position and average then, as the paper does, which makes
# them surer; [the chapter on networks trained on sharp images](02_pretrained) has the accuracy of the same weights pooled first, in a column of its own.
#
# ## What goes wrong
#
# **Another normalisation than in training** is no error, and only shows in the numbers. **Probabilities instead of logits** are none either; then the entropy is near
# its most, the logarithm of the number of classes:

# %%
import math

for words, other in (
    ("as it should be", {"module": model, "mean": MEAN, "std": STD}),
    (
        "grey levels from 0 to 255",
        {
            "module": model,
            "mean": [1 / 255 * value for value in MEAN],
            "std": [value / 255 for value in STD],
        },
    ),
    (
        "probabilities",
        {"module": torch.nn.Sequential(model, torch.nn.Softmax(dim=1)), "mean": MEAN, "std": STD},
    ),
):
    found = evaluate_module(folder="photos", conditions=["sharp"], **other).set_index("metric")[
        "value"
    ]
    print(
        f"{words:26} top-1 {found['top1']:.2f}, entropy {found['entropy']:.2f} of {math.log(1000):.2f} nats"
    )

# %% [markdown]
# **Weights that cannot be fetched**, because there is no network or the hub is gone, are told in a sentence; `--weights FILE` takes them from a file. A pickle is refused:
# whoever made it decides what runs when it is read.
#
# **Further.** [Make it robust, without labels](22_robust_without_labels): `finetune` takes the same names · [add it to the book](24_add_a_network) ·
# [the reference](../book/reference/blurpaper)
