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
# Networks trained on sharp photographs fail on blurred ones, and fine-tuning on blurred images recovers most of the loss: this is what
# Vasiljevic, Chakrabarti and Shakhnarovich found in 2016 {cite}`vasiljevic2016`. We repeat their experiments: on our photographs the
# loss is as large, fine-tuning with the few labels that we have recovers less of it, and training without labels recovers more. If
# your images may be blurred, use a network that was trained on such images.
#
# **Read** [from the blurs on](01_kernels), in the paper's order, with a [glossary](../book/glossary) · **Re-run** all of it by
# `make book`, or [one chapter](re-run) · **Use** it [on your images](20_use_it) or
# [network](20_use_it), or try [the slider](15_play)

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
# `mix` is fine-tuned on sharp and defocused images, with labels; `mix/agreement` without, to predict for the blurred image what
# `original` predicts for the sharp one. `D8` is defocus by a disk of radius 8.

# %%
with_labels, without_labels = run.recovered("mix"), run.recovered("mix/agreement")
show.numbers("share", with_labels=with_labels, without_labels=without_labels)
show.numbers("points", lost=run.top5() - run.top5(condition="D8"))

# %% [markdown]
# ## What holds, what does not, and why
#
# - **The loss holds.** On photographs every blur costs top-5 accuracy (the share of images whose class is among the five most likely): `D8` costs
#   {glue:text}`lost-photographs`, where the paper has {glue:text}`lost-paper`. Certainty falls too, and segmentation suffers, above all near boundaries.
# - **The recovery with labels is smaller.** The paper recovers {glue:text}`with_labels-paper` of this loss, with over a thousand labelled images a
#   class. We have one a class, and recover {glue:text}`with_labels-photographs`. Without labels we can use more photographs, and recover
#   {glue:text}`without_labels-photographs`. This share is flattered: the settings of that method were chosen on photographs that it is
#   measured on, `nips2017-dev` (easy pictures, collected for a competition).
# - **Some claims fail or stay open.** Strong blur does not double the entropy of our network's predictions, which is high for sharp images
#   too. Many claims are undecided, for lack of test photographs. [Each has a verdict](09_claims).
#
# ## What follows in practice
#
# - **The network may adapt while it is used:** mix its batch-norm statistics with those of the incoming images. This
#   [costs nothing](10_adaptation) if they come in batches of one kind of blur.
# - **You have photographs without labels:** [fine-tune without labels](20_use_it), or take the bundled network.
# - **You have many labels for each class:** use [the paper's recipe](03_finetuning).
#
# None of these is shown to help under motion blur. If the PSF is known exactly, consider [deblurring](06_deblurring).
#
# (re-run)=
# ## Re-run one chapter
#
# These lines execute a chapter in a checkout, here in miniature. `make lab` opens all of them in JupyterLab, to change a line.
#
# ```sh
# jupytext --to ipynb notebooks/03_finetuning.py -o 03.ipynb
# papermill 03.ipynb 03.done.ipynb -p profile smoke
# ```
