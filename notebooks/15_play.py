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
# Two networks classify a photograph while you blur it: `original` is EfficientNet-Lite0, a small convolutional network, as it was trained
# on sharp photographs; `mix/agreement` is the same network after fine-tuning, without labels, on sharp and blurred ones.

# %% tags=["parameters"]
profile = "emoji"
overrides = {}
published = False

# %%
from blurpaper.book import chapter, slider

run, show = chapter.begin(profile, overrides, published)
slider.page()

# %% [markdown]
# The picture is blurred as in [the experiments](02_pretrained): its smaller side is resized to 384 pixels, and the size of a blur is given
# in these pixels. Both networks then see it at scale 256. A bar is the probability of one of the five most probable classes, and a tick
# marks a correct one. The entropy measures uncertainty.
#
# The slider opens at a blur under which the two networks differ. On the sharp cup, and under motion, the original is the more confident
# one. The three photographs come with scikit-image, and were chosen because they may be shown. What holds for many photographs is in the
# chapter on [fine-tuning](03_finetuning).
