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
# # Blur breaks recognition; training helps
#
# Networks trained on sharp photographs fail on blurred ones, and fine-tuning on blurred images recovers most of the loss. This is what
# Vasiljevic, Chakrabarti and Shakhnarovich found in 2016 {cite}`vasiljevic2016`. We repeat their experiments. On our photographs the loss
# is as large. Fine-tuning with the few labels that we have recovers less of it; fine-tuning without labels, on more photographs, recovers
# more than that. If your images may be out of focus, use a network that was fine-tuned on such images.
#
# **Read** the chapters in the paper's order, [starting with the blurs](01_kernels); there is a [glossary](../book/glossary) · **Re-run**
# everything with `make book`, or [one chapter](12_runs) · **Use** it on [your images](20_use_it) or [your network](20_use_it), or try [the
# slider](15_play)

# %% tags=["parameters", "remove-cell"]
profile = "emoji"
overrides = {}
published = False

# %% tags=["remove-input"]
from blurpaper.book.chapter import begin

run, show = begin(profile, overrides, published)
run

# %%
table3 = run.table("table3", metric="top5", network=["original", "mix", "mix/agreement"])
show.curves(table3)

# %% [markdown]
# `original` was trained on sharp images. `mix` was fine-tuned on sharp and defocused images, with labels; `mix/agreement` without labels.
# `D8` is defocus by a disk of radius 8, in pixels of an image whose smaller side is 384; top-5 accuracy counts an image as right if its
# class is among the network's five most probable. `nips2017-dev` are easy photographs that were collected for a competition.

# %%
with_labels, without_labels = run.recovered("mix"), run.recovered("mix/agreement")
show.numbers("share", with_labels=with_labels, without_labels=without_labels)
show.numbers("points", lost=run.top5() - run.top5(condition="D8"))

# %% [markdown]
# ## What holds, what does not, and why
#
# - **The loss is reproduced.** On photographs every blur costs top-5 accuracy: `D8` costs {glue:text}`lost-photographs` (the paper:
#   {glue:text}`lost-paper`). Confidence falls too, and segmentation suffers, above all near boundaries.
# - **The recovery with labels is smaller.** The paper recovers {glue:text}`with_labels-paper` of this loss, with over a thousand labelled
#   images per class. With one per class, we recover {glue:text}`with_labels-photographs`. Without labels we can use more photographs, and
#   recover {glue:text}`without_labels-photographs`. This last share is optimistic: the settings of the method were chosen on the
#   photographs on which it is measured.
# - **Some claims fail or remain open.** Strong blur does not double the entropy of our network's predictions, which is high even for sharp
#   images. Many claims are undecided because the test photographs are too few. [Each claim has a verdict](09_claims).
#
# ## What follows in practice
#
# - **The network can adapt while it is used:** combine its batch-norm statistics with those of the incoming images. This [needs no
#   training](10_adaptation), but the images must come in batches of one kind of blur.
# - **You have photographs without labels:** [fine-tune without labels](20_use_it), or use the bundled network.
# - **You have many labels for each class:** use [the paper's recipe](03_finetuning).
#
# Fine-tuning on defocus has not been shown to help under motion blur. If the blur kernel (the point-spread function, PSF) is known exactly, consider
# [deblurring](06_deblurring).
