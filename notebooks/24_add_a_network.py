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
# # Add a network
#
# To measure a classifier of yours, or to make it robust, nothing has to be added: [the page on measuring](21_measure_your_model) takes any
# module. This page is for a network that is to be one of the book's own: shown by its stages, trained by the profiles, named in the tables.
# The example asks whether colour helps under blur: a network that sees none.

# %% tags=["parameters", "remove-cell"]
profile = "emoji"
overrides = {}
published = False

# %% tags=["remove-cell"]
import pandas as pd
import torch

from blurpaper.book.page import Page
from blurpaper.runs import profile as profiles

page = Page(profile, overrides, published)

# %% [markdown]
# ## What a network is
#
# A `Network` is given RGB in grey levels, normalises it by itself, and gives a map of logits, one vector at each position of its field over
# the image. To be looked into, it shows five stages, each at half the resolution of the one before, `pool1` to `pool5`; `classify` makes logits of
# the last. A network made of torch modules in a row needs only a list of five, `stages`, and `classify`: `blurpaper/networks/vgg.py` is the one to
# copy. Where another is nearly what you want, a subclass will do:

# %%
from blurpaper.networks.residual import EfficientNetLite

LUMA = (0.299, 0.587, 0.114)  # shares of red, green and blue in brightness (ITU-R BT.601)


class GreyEfficientNetLite(EfficientNetLite):
    """An EfficientNet-Lite that sees brightness alone."""

    def normalised(self, images: torch.Tensor) -> torch.Tensor:
        brightness = (
            images.float() * images.new_tensor(LUMA, dtype=torch.float32).view(1, 3, 1, 1)
        ).sum(dim=1, keepdim=True)
        return super().normalised(brightness.expand(-1, 3, -1, -1))


def efficientnet_lite0_grey(classes, field=224):
    """EfficientNet-Lite0 without colour."""
    return GreyEfficientNetLite(classes, "tf_efficientnet_lite0", field)


# %% [markdown]
# Its layers are those of EfficientNet-Lite0, and so may its weights be, which pip has installed:

# %%
from blurpaper.networks.weights import original_efficientnet

networks = {
    "colour": original_efficientnet(
        lambda classes, field: EfficientNetLite(classes, "tf_efficientnet_lite0", field), "lite0"
    ),
    "grey": original_efficientnet(efficientnet_lite0_grey, "lite0"),
}
networks["grey"](torch.zeros(1, 3, 256, 320)).shape  # a map of logits

# %% [markdown]
# ## Through the protocol
#
# Images come at the canonical scale, `uint8`; the protocol blurs them, rounds, resizes, applies the network everywhere and averages
# log-probabilities. What it gives is not in the store: a network that is only in memory has no name there.

# %%
from blurpaper.data.examples import EXAMPLES, photograph
from blurpaper.data.images import to_canonical
from blurpaper.evaluation import protocol

settings = profiles.load("photos")
ids = [example.name for example in EXAMPLES]
images = [to_canonical(photograph(example), settings.protocol.canonical) for example in EXAMPLES]

said = []
for kind, network in networks.items():
    for condition in ("sharp", "D4", "D8"):
        log_p = protocol.log_probabilities(
            {"256": network}, images, ids, condition, settings.protocol, settings.compute, batch=2
        )
        likeliest = log_p["256"].log_softmax(dim=1).max(dim=1)
        for one, number, confidence in zip(
            ids, likeliest.indices, likeliest.values.exp(), strict=True
        ):
            said.append((one, condition, kind, f"{network.classes[number]} ({confidence:.2f})"))
pd.DataFrame(said, columns=["image", "condition", "network", "said"]).pivot(
    index=["image", "condition"], columns="network", values="said"
)

# %% [markdown]
# Two photographs answer nothing; a folder of your own does, once the network has a name, below. The stages serve at once: from which layer on are
# the features of the blurred image those of the sharp one? The share of channels that switch on or off:

# %%
from blurpaper import blur
from blurpaper.evaluation import invariance

cat = images[0][None]
pairs = [
    protocol.network_input(one, 256, settings.protocol.canonical)
    for one in (cat, blur.apply(cat, "D8"))
]
with torch.inference_mode():
    switched = {
        kind: invariance.hamming_maps(network, *pairs) for kind, network in networks.items()
    }
pd.DataFrame(
    {
        kind: {stage: float(one.mean()) for stage, one in maps.items()}
        for kind, maps in switched.items()
    }
).round(3).T

# %% [markdown]
# ## What goes wrong
#
# A network that gives one vector an image instead of a map is no `Network`; give it two axes of length one, or let `blurpaper evaluate` wrap it. Weights
# whose names differ but whose layers are the same, in the same order, are taken in that order; others are refused:

# %%
from blurpaper.networks import module_of
from blurpaper.networks.vgg import small_vgg

try:
    small_vgg(["a", "b"]).load_in_order(networks["grey"].state_dict())
except ValueError as error:
    print(error)
try:
    module_of("efficientnet_lite0_grey")
except ValueError as error:
    print(error)

# %% [markdown]
# ## For good
#
# In a checkout: the class and the function go to a module below `blurpaper/networks/`, here `residual.py`; the name to `MODELS` in `networks/__init__.py`,
# and where its weights come from to `ORIGINALS` in `networks/weights.py`.
#
# ```python
# MODELS: dict[str, str] = {
#     ...
#     "efficientnet_lite0_grey": "blurpaper.networks.residual",
# }
# ORIGINALS: dict[str, Callable[[int], Network]] = {
#     ...
#     "efficientnet_lite0_grey": partial(original_efficientnet, residual.efficientnet_lite0_grey, "lite0"),
# }
# ```
#
# A model without weights from elsewhere is left out of `ORIGINALS`, and a profile with `pretraining`, such as `emoji`, trains it from scratch.
#
# The tests run over `MODELS`: that a function of its name builds each, and that a segmenting network can be built on top of it, which has a label
# for every point and pixel and a gradient for every layer.
#
# ```sh
# python -m pytest tests/networks tests/segmentation/test_zoomout.py
# ```
#
# From then on every verb and every profile knows it:
#
# ```sh
# blurpaper evaluate --network efficientnet_lite0_grey --images photos
# blurpaper chapter 02 --profile photos -p model=efficientnet_lite0_grey
# ```
#
# Only results that a module helped to make go stale with it: a model in a module of its own leaves all others as they are.
#
# **Further.** [The second architecture of the book](08_second_model) · [the reference](../book/reference/blurpaper)
