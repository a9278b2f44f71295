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
# `original` was trained on sharp images. `mix` is fine-tuned with labels on sharp and defocused images; `mix/agreement` without labels, to
# predict for the blurred image what `original` predicts for the sharp one. `D8` is defocus by a disk of radius 8. Top-5 accuracy
# counts an image if its class is among the five most likely. More words are in the [glossary](../book/glossary).

# %%
with_labels, without_labels = run.recovered("mix"), run.recovered("mix/agreement")
show.numbers("share", with_labels=with_labels, without_labels=without_labels)
show.numbers("points", lost=run.top5() - run.top5(condition="D8"))

# %% [markdown]
# ## What holds, what does not, and why
#
# - **The loss holds.** On photographs every blur costs accuracy, and more blur costs more: `D8` costs {glue:text}`lost-photographs`, where the
#   paper has {glue:text}`lost-paper`. Predictions become less certain. Segmentation suffers too, above all near boundaries.
# - **The recovery depends on labels.** The paper recovers {glue:text}`with_labels-paper` of this loss, with over a thousand labelled images a
#   class. We have one a class, and recover {glue:text}`with_labels-photographs`. Without labels we can use more photographs, and recover
#   {glue:text}`without_labels-photographs`. This share is flattered: the settings of the method were chosen on test photographs, those of
#   `nips2017-dev` (easy pictures, collected for a competition).
# - **Some claims fail or stay open.** Strong blur does not double the uncertainty of our network, which doubts sharp images
#   too. Many claims are undecided, since we have few test photographs. [Each has a verdict](09_claims).
#
# ## What follows in practice
#
# - **The network may adapt while it is used:** mix its batch-norm statistics with those of the incoming images. This
#   [costs nothing](10_adaptation) if they come in batches of one kind of blur.
# - **You have photographs without labels:** [fine-tune without labels](22_robust_without_labels), or take the bundled network.
# - **You have many labels for each class:** use [the paper's recipe](03_finetuning).
#
# None of these is shown to help under motion blur. If the PSF is known exactly, consider [deblurring](06_deblurring).
#
# ## Three doors
#
# - **Read**: [the blurs](01_kernels), [the failure](02_pretrained), [the recovery](03_finetuning), and on in the paper's order.
# - **Re-run**: `make book` computes and builds everything on a laptop. One chapter: `papermill 03.ipynb out.ipynb -p profile smoke`.
# - **Use**: [on your images](20_blur_your_images), [on your network](21_measure_your_model), or try [the slider](15_play).
