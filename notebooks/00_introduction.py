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
# Networks trained on sharp photographs fail on blurred ones, and fine-tuning on blurred images recovers most of the loss, as
# {cite:t}`vasiljevic2016` found. On our photographs the loss is as large. With one label for each of a thousand classes about a third of
# it is recovered; without labels, on more photographs, about two thirds. Among ten breeds of dog, with hundreds of labels each, most of
# the loss there is recovered. If your images may be out of focus, use a network that was fine-tuned on such images.
#
# **Read** the chapters, [starting with the blurs](01_kernels); [glossary](../book/glossary) · **Re-run** everything with `make book`, or [one
# chapter](12_runs) · **Use** it on [your images and networks](20_use_it), or try [the slider](15_play)

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
# `original` was trained on sharp images; `mix` was fine-tuned on sharp and defocused ones with labels, `mix/agreement` without. The
# photographs of `nips2017-dev` are easy ones that were collected for a competition.
#
# - **The loss is reproduced:** `D8`, the strongest defocus, costs {glue:text}`lost-photographs`; in the paper, {glue:text}`lost-paper`.
# - **So is the recovery, where labels are many.** The paper recovers {glue:text}`with_labels-paper` of it, with over a thousand labelled
#   images per class. Of the top-1 accuracy lost among ten breeds of dog, with hundreds of labels each, we recover
#   {glue:text}`many_labels-photographs`; of the top-5 accuracy lost among a thousand classes, with one label each,
#   {glue:text}`with_labels-photographs`, and without labels {glue:text}`without_labels-photographs`. The last share is optimistic, since the
#   settings were chosen on its test photographs.
# - **Few claims fail, and many stay undecided**, as test photographs are few. [Each claim has a verdict](09_claims).
# - **In practice:** if a network may adapt while it is used, [renew its batch-norm statistics](10_adaptation); with photographs, labelled
#   or not, [fine-tune without labels](20_use_it); with far more than hundreds of labels per class, try [the paper's recipe](03_finetuning).

# %%
labels, none = run.recovered("mix"), run.recovered("mix/agreement")
many = run.recovered("mix", metric="top1", labelled=350)
show.numbers("share", with_labels=labels, without_labels=none, many_labels=many)
show.numbers("points", lost=run.top5() - run.top5(condition="D8"))
