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
# # Blur a photograph yourself
#
# Two networks classify a photograph while you blur it: `original` is EfficientNet-Lite0 as it was trained on sharp photographs,
# `mix/agreement` is the same network after fine-tuning on blurred ones without labels.

# %% tags=["parameters"]
profile = "emoji"
overrides = {}
published = False

# %%
from blurpaper.book import chapter, slider

run, show = chapter.begin(profile, overrides, published)
slider.page()

# %% [markdown]
# The picture is blurred as in [the experiments](02_pretrained): its smaller side is brought to 384 pixels, and sizes of a blur are in these pixels. Both
# networks then see it at scale 256. A bar is the probability of one of the five likeliest classes, and a tick marks a right one. The
# entropy measures doubt.
#
# The slider opens at a blur under which the two networks differ. On the sharp cup, and under motion, the original is the more
# confident one. The three photographs come with scikit-image, and were chosen because they may be shown. What holds for many is in the chapter on
# [fine-tuning](03_finetuning).
