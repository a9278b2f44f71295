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
# # Robust without labels: what came after
#
# The paper closes with a wish: networks that become robust without labels, from examples of distorted images, without a model of
# the distortion. Since then methods were found by which a network adapts to the images that it is applied to. This chapter
# measures the cheapest of them beside fine-tuning, under the paper's blurs. The paper has no such experiment.

# %% tags=["parameters"]
profile = "emoji"
overrides = {}
published = False

# %%
from blurpaper.book.chapter import begin

run, show = begin(profile, overrides, published)
run

# %%
adaptation = run.table("adaptation", metric="top1")
names = adaptation["network"] + ", " + adaptation["parameter"]
adaptation["method"] = names.str.replace(", (as.is|batches.of.50)", "", regex=True)
some = adaptation["method"].str.fullmatch("(original|mix)(/agreement)?|orig.*256")
show.curves(adaptation[some], by="method")

# %% [markdown]
# - `batch-norm` takes the statistics of batch normalisation from a batch of fifty images, mixed with the network's own as if these came
#   from N images {cite}`schneider2020,nado2020`.
# - `TENT` also takes a step on scales and shifts after each batch, towards lower entropy {cite}`wang2021`; `EATA` learns only from
#   images that are reliable and new, and is anchored to its start {cite}`niu2022`.
# - `mix` was fine-tuned on blur with labels, `mix/agreement` without: by self-distillation, in which the frozen original is
#   shown the sharp image {cite}`zheng2016,hinton2015`. `mix/agreement-blurred` had no sharp images: its teacher is the original
#   with mixed statistics, shown the same blurred image.
# - `sharp-only/augmix` was fine-tuned on distorted images, none of them blurred {cite}`hendrycks2020`: a control.
#
# ## How it is measured
#
# These lines adapt a network to a batch of two blurred photographs, and apply it:

# %%
import torch

from blurpaper import blur, networks
from blurpaper.data import examples
from blurpaper.evaluation.protocol import network_input
from blurpaper.experiments.adaptation import Adapted, Method

photographs, answers = examples.batch()
seen = network_input(blur.apply(photographs, "D8"), 256, canonical=384)

# %%
for source in [0, 16, 256, 4096]:
    network = networks.load("efficientnet_lite0", plain=True)
    adapted = Adapted(network, Method("batch-norm", source), run.profile.compute)
    with torch.inference_mode():
        p = adapted(seen).softmax(dim=1)
    guesses = [network.classes[number] for number in p.argmax(dim=1)]
    print(f"N = {source:4}", guesses, p.max(dim=1).values.numpy().round(2))

# %% [markdown]
# Two images are too few: their statistics alone ruin the network. It is loaded as an ordinary module (`plain=True`), since
# ours fold batch normalisation into convolutions, in which hooks and libraries of adaptation find nothing to change.
#
# ## Every method under every blur

# %%
columns = ["sharp", "D4", "D8", "H8", "shake"]
every = adaptation.groupby("method")["condition"].transform("nunique") > 3
main = adaptation[every & ~adaptation["method"].str.contains("continual")]
show.table(main, row="method", columns=columns)

# %%
changes = run.table("adaptation", metric="top1_vs_original")
changes["method"] = changes["network"] + ", " + changes["parameter"]
show.table(changes, row="method", columns=columns, folded="Every variant")

# %% [markdown]
# ## What we see
#
# These sentences rest on photographs, from a first measurement with one order of the images, which is not yet published.
# Statistics mixed with the network's own recover a good part of the loss, under every blur but the weakest, at a small cost on sharp images:
# more than fine-tuning with the one labelled image a class that we have. Fine-tuning without labels is ahead of them under
# strong defocus, and not significantly different under motion and shake. The batch's statistics alone cost much on sharp images,
# and with single images nothing is left. In ten batches neither `TENT` nor `EATA` changes what statistics give. The control
# does not help.
#
# **The paper's wish**, robustness from blurred images alone, is granted in part: `mix/agreement-blurred` is as good as its
# teacher under weak blur, and worse under strong blur.
#
# **What follows.** If a network may adapt to the images it meets, in batches of one blur, mix its statistics: that costs
# nothing. If there are photographs, fine-tune without labels; [this page](20_use_it) says how. With many labels
# for each class, the paper's recipe is the first to try.
#
# **Limits.** Batches here are of one condition; in mixed or small ones batch normalisation is what fails {cite}`niu2023`, and
# over long streams few methods stay ahead of none {cite}`press2023`. Methods that are slow see fewer images {cite}`alfarra2024`.
#
# ## Severities of ImageNet-C
#
# ImageNet-C blurs by disks and by motion in five severities {cite}`hendrycks2019,michaelis2019`. By the PSF of the same variance, in
# pixels of our canonical scale, `D4` is weaker than its weakest defocus, `D6` is its second severity, and `D8` lies between the
# second and the third.

# %%
severities = run.table("severities", metric="top1")
severities["blur"] = severities["condition"] + " " + severities["parameter"]
show.table(severities, row="blur", column="scale", folded="Accuracy under each")

# %% [markdown]
# ## Related work
#
# Blur and noise cost networks most among distortions of quality {cite}`dodge2016`. Training on other transformations
# {cite}`modas2022`, low-pass filters inside the network {cite}`zhang2019` and averaged teachers {cite}`tarvainen2017` would be the
# next to compare; blur that varies with depth {cite}`kar2022` and streams of changing conditions {cite}`wang2022` lie outside what is
# measured here. For deblurring, learnt denoisers as priors {cite}`zhang2020` are well ahead of the mixture that the paper uses.
#
# ## Exercises
#
# 1. Adapt to both photographs under different blurs: the statistics are then of neither.
# 2. Raise `source` to a million. The guesses are those of the network as it is.
