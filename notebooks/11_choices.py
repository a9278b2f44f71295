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
# # Choices and limits
#
# This page lists what limits the conclusions of this book, which photographs they rest on, and what differs from the paper. Some numbers
# are illegible in our copy of the paper, and some things the paper does not say; what we chose there stands near the end.

# %% tags=["parameters"]
profile = "emoji"
overrides = {}
published = False

# %%
from blurpaper.book.chapter import begin

run, show = begin(profile, overrides, published)
run

# %% [markdown]
# ## Limits
#
# - **Border.** A camera blurs what lies outside the frame into the picture. Here, as is usual, the image is mirrored at its border. Deblurring
#   ([chapter 6](06_deblurring)) assumes the same mirror, which favours it.
# - **Uniform blur.** One kernel blurs the whole image. Real defocus varies with depth, and real shake across the frame.
# - **Gamma.** The blur averages encoded grey levels, as in the paper. In a camera light is averaged before it is encoded, so that
#   highlights spread further.
# - **No noise.** Blurred images are rounded to 8 bits and have no other noise. Photographs taken in the dark, where blur is common, have
#   more.
# - **Small photographs.** Most of ours are smaller than the canonical scale and are enlarged to it, so that they hold little detail for scale 512.
# - **One family of networks.** On photographs the networks are EfficientNet-Lite0 and Lite1, small convolutional networks for phones.
#   Nothing here tests a larger network, or a transformer.
# - **Few labels.** Our fine-tuning with labels has one photograph for each class. The paper had over a thousand.
# - **Chosen on test images.** The settings of `mix/agreement` were chosen on the test photographs ([lab notes](../book/lab_notes)), so its
#   results are optimistic by an unknown amount.
#
# Three of these can be tried on the two photographs that are bundled:

# %%
import torch

from blurpaper import blur, networks
from blurpaper.data import examples
from blurpaper.evaluation.protocol import network_input

network = networks.load("efficientnet_lite0")
photographs, answers = examples.batch()  # a cat and a cup: uint8, (2, 3, 384, 384)
truth = [network.classes.index(answer) for answer in answers]
blurred = blur.apply(photographs, "D8")

# %%
light = (255 * (photographs / 255) ** 2.2).round().byte()
encoded = (255 * (blur.apply(light, "D8") / 255) ** (1 / 2.2)).round().byte()
noisy = (blurred + 8 * torch.randn(blurred.shape)).round().clamp(0, 255).byte()
seen = {"as here": blurred, "linear light": encoded, "with noise": noisy}
seen["real border"] = blurred[..., 40:-40, 40:-40]
seen["mirrored border"] = blur.apply(photographs[..., 40:-40, 40:-40], "D8")

# %%
for name, images in seen.items():
    with torch.inference_mode():
        inputs = network_input(images, 256, canonical=images.shape[-1])
        p = network.log_probabilities(inputs).softmax(dim=1)
    print(f"{name:16}", p[[0, 1], truth].numpy().round(2))

# %% [markdown]
# The probabilities of the true classes change, and not always downwards. This shows that a choice matters, but not how much.
#
# ## The photographs
#
# ImageNet cannot be redistributed. In its place stand smaller sets, each with a caveat. Their sizes, when complete, are:

# %%
from blurpaper.data.catalogue import CATALOGUE

for name in ["nips2017-dev", "ilsvrc-val-sample", "amd-tiny"]:
    print(f"{name:18}", CATALOGUE[name].counts)

# %% [markdown]
# - `nips2017-dev` was collected for a competition on adversarial examples, from pictures that a good network classifies well. Accuracy on
#   sharp images is close to its ceiling, which compresses every effect. We had half of the set.
# - `ilsvrc-val-sample` is a convenience sample and not ImageNet's validation set. Part of it looks selected as well. Most of it had been
#   squashed to a small square and was stretched back.
# - `amd-tiny` is not from ImageNet, though labelled with its classes. Its photographs are small.
#
# The box in each chapter names, under each number, the set and its number of images.
#
# ## What differs from the paper
#
# Kernels, mixes and protocol are the same in every profile. `imagenet` is the paper's experiment, complete but never run at full size; `photos` and `emoji` are the ones in this book:

# %%
import pandas as pd

from blurpaper.runs import profile as profiles

chosen = {}
for name in ["imagenet", "photos", "emoji"]:
    one = profiles.load(name)
    chosen[name] = {"model": one.model, "second model": one.evaluation.second_model}
    chosen[name] |= {"trained on": one.train_set, "tested on": one.evaluation.test_sets}
    chosen[name] |= {"scenes": one.segmentation.data, "canonical": one.protocol.canonical}
    chosen[name] |= {"scales": [*one.protocol.scales.values()]}
    chosen[name] |= {"rates": [phase.rate for phase in one.finetuning.phases]}
pd.DataFrame(chosen)

# %% [markdown]
# The networks of `photos` end in global average pooling. To apply them at every position, as the paper applies VGG-16, the average
# is taken over windows of the size of the last map in training. The drawn images of `emoji` are shown smaller, and the kernels
# shrink with them; its network is a VGG of five stages that is trained here from scratch.
#
# ## What the paper leaves open
#
# | open | chosen | why |
# |---|---|---|
# | learning rates, momentum, weight decay | those of profile `imagenet` | usual for VGG-16 |
# | two Gaussians of Table 1 | standard deviations 4 and 8 | the first is that of a disk of radius 8 |
# | grid of camera shake | 16 × 16, arrays of 31 × 31 | mean radius between D6 and D8, like the accuracy |
# | border; resizing | whole-sample mirror; bicubic, antialiased | usual |
# | extent of a Gaussian | four standard deviations | the rest is negligible |
# | rounding | before and after the blur, not of the network's input | one rounding of each image |
# | share of sharp images in a mix of two | half; a fifth beside camera shake | a fifth in the paper's mix of five |
# | average over 256+512 | over positions, then over scales | else 512 would dominate |
# | zeros around the last map at scale 128 | on all sides | not said |
# | second model, of fifty-one layers | ResNet-50 | its accuracy fits |
# | image that EPLL restores | mean of the channels; colour differences separately | noise averages out ([chapter 6](06_deblurring)) |
# | noise that EPLL assumes | that of rounding | there is no other |
# | prior of EPLL | learnt here, from other photographs | the original is not available |
# | stages that Zoomout uses | five, and the mean of the last | what all our networks have |
# | shape of a scene | its own | the paper distorts it to fit its network |
# | near a boundary | four pixels to another label, centre to centre; void counts as one | only the distance is given |
#
# ## Fewer bits
#
# Networks are evaluated in bfloat16 where the processor computes in it, and the bundled network is stored in half precision.

# %%
precision = run.table("precision", metric=["top1_vs_float32", "top5_vs_float32"])
show.table(precision, row="metric", folded="Changed by bfloat16")

# %%
bundled = run.table("bundled", metric="top5")
conditions = ["sharp", "D4", "D8", "shake", "H8"]
show.table(bundled, columns=conditions, folded="The bundled network")

# %% [markdown]
# ## Exercises
#
# 1. Replace both exponents by one. The second line is then the first: nothing is decoded.
# 2. Replace `"D8"` by `"D2"`, three times. The last two lines nearly agree: a small kernel reaches little beyond the border.
