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
# # Make a network robust, without labels
#
# A network that was trained on sharp photographs can teach itself to see blurred ones: it looks at your photographs sharp, then blurred,
# and learns to say of the second what it said of the first. Nobody has to label anything, and any photographs of the kind that it
# will meet will do.

# %% tags=["parameters", "remove-cell"]
profile = "emoji"
overrides = {}
published = False

# %% tags=["remove-cell"]
import os
import sys
import tempfile
from pathlib import Path

from blurpaper.book.page import Page, with_interval
from blurpaper.data.examples import TRAINING, album
from blurpaper.evaluation import results
from blurpaper.experiments.sources import Committed
from blurpaper.runs import Run
from blurpaper.runs import profile as profiles

page = Page(profile, overrides, published)
place = tempfile.TemporaryDirectory(prefix="blurpaper-")
os.chdir(place.name)
os.environ["BLURPAPER_STORE"] = f"{place.name}/store"  # what is tried here stays out of yours
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
album(Path("photos"), TRAINING)
album(Path("held_out"))

# %% [markdown]
# ## First: is there one already?
#
# `efficientnet_lite0:mix/agreement` was made in this way and comes along. Of what blur costs, it brings back, on test photographs that neither network was
# trained on:

# %% tags=["remove-input"]
photos = Committed(profiles.load("photos"))
recovered = results.select(
    photos.rows("recovery"),
    recipe="agreement",
    condition="D8",
    seed=["all", "0"],
)
cost = results.select(
    photos.rows("recovery"),
    recipe="agreement",
    condition="sharp",
    metric="top5_vs_original",
    seed=["all", "0"],
)
share = results.select(recovered, metric="top5_recovered")
page.say(
    f"- of the top-5 accuracy that is lost under `D8`, {with_interval(share.iloc[0])};\n"
    f"- sharp photographs change by {with_interval(cost.iloc[0], unit=' points')}."
)

# %% [markdown]
# If your photographs are of ImageNet's kind, use that one and stop here ([measure it](21_measure_your_model) on some of them first).
#
# ## On your own photographs
#
# Below, the whole procedure at a size for a book that is built in minutes: eight photographs, in two batches, seen once. *It shows that
# the procedure runs, and nothing else.* On your own photographs leave out both `-p`; what the real thing takes is told at the end.

# %% language="bash"
# blurpaper finetune --network efficientnet_lite0 --images photos --unlabelled \
#   --mix sharp,D4,D8 --out tuned.safetensors \
#   -p agreement.batch=4 -p 'agreement.phases=[{epochs: 1, rate: 0.0002}]'

# %% [markdown]
# The same from Python:

# %%
from blurpaper.cli import finetune
from blurpaper.networks import NetworkSpec
from blurpaper.runs.store import Store
from blurpaper.training.networks import trained

settings = profiles.load(
    "photos", {"agreement.batch": 8, "agreement.phases": [{"epochs": 1, "rate": 0.0002}]}
)
run = Run(settings, Store())
count, steps, left_out = finetune.finetune(
    trained(NetworkSpec("efficientnet_lite0"), run),
    Path("photos"),
    "sharp,D4,D8",
    True,
    Path("again.safetensors"),
    run,
)
count, steps, left_out

# %% [markdown]
# ## What came of it
#
# Measure on photographs that were not learnt from, before and after. Without labels the number is agreement: on how many photographs the network
# says of the blurred one what it says of the sharp one. It does not say that either is right, so look at a few.

# %% magic_args="-e" language="bash"
# blurpaper evaluate --network efficientnet_lite0 \
#   --images held_out --conditions sharp,D8
# blurpaper evaluate --network tuned.safetensors \
#   --images held_out --conditions sharp,D8

# %% [markdown]
# The file holds the network and says in its header what it is; any tool that reads safetensors reads it, and the library gives it back as a
# module:

# %%
from blurpaper.networks.files import NetworkFile

tuned = NetworkFile.at(Path("tuned.safetensors"))
network = tuned.load()
(
    tuned.name,
    f"{Path('tuned.safetensors').stat().st_size / 1e6:.0f} MB",
    type(network).__name__,
)

# %% [markdown]
# ## What the real thing takes

# %% tags=["remove-input"]
timings = {
    row["name"]: float(row["seconds"]) for row in photos.timings() if row["kind"] == "networks"
}
minutes = [
    seconds / 60
    for name, seconds in timings.items()
    if name.startswith("efficientnet_lite0:mix/agreement")
]
real = photos.profile.agreement
if minutes:
    page.say(
        f"The network that comes along was tuned in {min(minutes):.0f} to {max(minutes):.0f} minutes on two cores (the three seeds of the committed run): "
        f"{sum(phase.epochs for phase in real.phases)} epochs in batches of {real.batch} over the photographs of {real.train_set.count('+') + 1} sets. "
        "More photographs take more in proportion; a GPU is taken if there is one."
    )

# %% [markdown]
# **What to expect.** How few photographs are enough has not been measured; the committed run had all of those sets, none of them labelled for
# it. Mix the blurs that you expect, always with `sharp` among them: without it the network forgets sharp images, which chapter 03 shows of
# `onlyD8`.
#
# **A run that is stopped** leaves a checkpoint beside the file; the same command goes on from it.
#
# **What goes wrong.** Fewer photographs than a batch are an error that names the field to change. If agreement falls on sharp photographs, the rate is too high for so few of them: lower it (`-p 'agreement.phases=[{epochs: 6, rate: 0.0001}]'`) or give it more. If
# the photographs are all alike, the network learns them and not the blur.
#
# **Further.** [With labels](03_finetuning) · [how the recipe was found](../book/lab_notes) · [a network that is not among ours](21_measure_your_model) ·
# [the reference](../book/reference/blurpaper)
