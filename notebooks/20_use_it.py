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
# # Use it on your images and networks
#
# The library blurs and deblurs your photographs, measures your classifier under blur, and makes it robust. What to do against
# blur depends on what you have, as the experiments on [fine-tuning](03_finetuning), [deblurring](06_deblurring) and
# [adaptation](10_adaptation) show:
#
# | what you have | what to do |
# |---|---|
# | photographs of ImageNet's classes | use the bundled network, `mix/agreement` |
# | many labelled photographs of each class | fine-tune with labels, as the paper does |
# | unlabelled photographs | fine-tune without labels |
# | only the test images, in batches of one kind of blur | adapt to each batch at test time |
# | the exact PSF of each image | deblur first |

# %% tags=["parameters"]
profile = "emoji"
overrides = {}
published = False

# %%
from blurpaper.book.chapter import begin

run, show = begin(profile, overrides, published)
run

# %%
share = run.recovered("mix/agreement", "D8")
show.box("share", top5_lost_under_D8_recovered=share)

# %%
cost = run.top5("mix/agreement", "sharp") - run.top5("original", "sharp")
motion = run.top5("mix/agreement", "H8") - run.top5("original", "H8")
show.numbers("points", cost=cost, motion=motion)

# %% [markdown]
# The bundled network is EfficientNet-Lite0, a small convolutional network trained on ImageNet, after fine-tuning on blurred photographs
# without labels. Under strong defocus (`D8`) it recovers {glue:text}`top5_lost_under_D8_recovered-photographs` of the lost top-5 accuracy,
# the share of [test photographs](02_pretrained) whose class is among the five most probable. It changes this accuracy by
# {glue:text}`cost-photographs` on sharp photographs, and by {glue:text}`motion-photographs` under motion (`H8`), which it never saw in
# training. Its settings were chosen on the same photographs, so the share recovered is optimistic by an unknown amount.
# Its predictions are less confident than the original's, on sharp images too: choose any threshold of confidence anew.
#
# ## Blur and deblur images
#
# In a shell, both commands take a file or a folder:
#
# ```sh
# blurpaper blur photos blurred --psf D8
# blurpaper deblur blurred deblurred --psf D8 --border mirror
# ```
#
# `D8` is defocus by a disk of radius 8, in pixels of an image whose smaller side is 384. On a larger photograph the disk is larger in
# proportion; with `--pixels`, sizes are in the file's own pixels. In Python, images are `uint8` tensors, and sizes are in the tensor's
# pixels:

# %%
from blurpaper import blur, deblurring
from blurpaper.data import examples

photographs, answers = examples.batch()  # yours, uint8, (B, 3, H, W)
blurred = blur.apply(photographs, "D8")
print(f"blurred: {(blurred.float() - photographs).abs().mean():.1f}")

# %%
for psf in ["D8", "D7", "D6"]:
    restored = deblurring.epll(blurred, psf, border="mirror")
    print(f"deblurred, {psf}: {(restored.float() - photographs).abs().mean():.1f}")

# %% [markdown]
# These are mean absolute errors in grey levels. Deblurring with the true PSF removes most of the error. If the radius is wrong by one
# pixel, the result is worse than the blurred image. By default, what lies beyond the border is treated as unknown, as it is for a camera;
# `mirror` is for images that `blurpaper blur` has made. In a training pipeline, `blur.RandomBlur` is a transform like those of torchvision.
#
# ## Measure a network
#
# ```sh
# blurpaper evaluate --network timm/resnet18.a1_in1k --images photos \
#   --conditions sharp,D4,D8 --out t.csv --report report.html
# ```
#
# `--network` also takes a `.safetensors` file, `torchvision/NAME`, or a function of yours that makes a torch module. If subfolders are
# named by classes, the measure is accuracy. Otherwise it is *consistency*: the share of images for which the prediction under blur equals
# that for the sharp image. In Python, any torch module that returns logits can be measured, here two of ours on ten photographs:

# %%
import tempfile
from pathlib import Path

import pandas as pd
from torch import nn

from blurpaper import networks
from blurpaper.evaluation import evaluate_module

names = [*examples.TRAINING, "chelsea", "coffee"]
folder = examples.album(Path(tempfile.mkdtemp()), names)

# %%
measured = []
for name in ["efficientnet_lite0", "efficientnet_lite0:mix/agreement"]:
    module = nn.Sequential(networks.load(name), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    rows = evaluate_module(module, folder, ["D4", "D8"], mean=0, std=1 / 255)
    measured.append(rows.assign(network=name))
rows = pd.concat(measured).query("metric == 'consistency'")
rows[["network", "condition", "value", "low", "high"]].round(2)

# %% [markdown]
# `mean` and `std` are those that a network's input is normalised with, in grey levels between zero and one; ours take 8-bit grey levels and
# normalise them themselves. A wrong normalisation raises no error, and neither do probabilities in place of logits: both show only in the
# numbers. The intervals from `low` to `high` are wide, since ten photographs are few.
#
# ## Adapt at test time
#
# If test images come in batches of one kind of blur, average the batch-norm statistics of each batch with the network's own, which count as
# `source` images. In a first measurement this recovers a part of the loss [under every blur but the weakest](10_adaptation), and needs no
# training:

# %%
import torch

from blurpaper.evaluation.protocol import network_input
from blurpaper.experiments.adaptation import Adapted, Method

network = networks.load("efficientnet_lite0", plain=True)
adapted = Adapted(network, Method("batch-norm", source=256), run.profile.compute)
seen = network_input(blurred, 256, canonical=384)
[adapted.network.classes[one] for one in adapted(seen).argmax(dim=1)]

# %% [markdown]
# In evaluation, our networks fold batch normalisation into the convolutions. Forward hooks and libraries for adaptation then have no
# effect, although the layers are there; `load(plain=True)` gives an ordinary module, in which they work:

# %%
from unittest.mock import Mock

for plain in [False, True]:
    network = networks.load("efficientnet_lite0", plain=plain)
    hook = Mock(return_value=None)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.register_forward_hook(hook)
    network(seen)
    print(f"plain={plain}: hook called {hook.call_count} times")

# %% [markdown]
# ## Fine-tune
#
# ```sh
# blurpaper finetune --network efficientnet_lite0 --images photos \
#   --mix sharp,D2,D4,D6,D8 --unlabelled --out tuned.safetensors
# blurpaper evaluate --network tuned.safetensors --images held_out
# ```
#
# With labels, leave out `--unlabelled` and name the subfolders by classes. The [lab notes](../book/lab_notes) say
# how the recipe without labels was found: the network learns to predict for the
# blurred image what it predicted for the sharp one:

# %%
teacher = networks.load("efficientnet_lite0")
student = networks.load("efficientnet_lite0", plain=True)
optimizer = torch.optim.AdamW(student.parameters(), lr=1e-5)
with torch.no_grad():
    sharp = network_input(photographs, 256, canonical=384)
    target = teacher.log_probabilities(sharp).log_softmax(dim=1)

# %%
for step in range(4):
    log_p = student.log_probabilities(seen).log_softmax(dim=1)
    loss = nn.functional.kl_div(log_p, target, log_target=True, reduction="batchmean")
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(f"step {step}: {loss:.3f}")

# %% [markdown]
# The command does so for several epochs, on random crops blurred by the mix, and also matches the features of the last stage. In `--mix`
# name the blurs that you expect, and always `sharp`: a network that sees no sharp images in training loses much accuracy on them. How few
# photographs are enough has not been measured; the bundled network was fine-tuned on four sets of photographs. A run that is stopped is
# resumed by the same command.
#
# **Limits.** Consistency does not say that a prediction is right. Measure on photographs that were not used for training, and look at some
# of the predictions.
#
# ## Exercises
#
# 1. Replace `["D4", "D8"]` by `["H8"]` above. The bundled network saw no motion in training, and is not ahead of the original.
# 2. Load `efficientnet_lite0:mix/agreement` as the student. Its loss is smaller from the start.
