# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Blur and recognition
#
# A network that recognises objects in sharp photographs is asked about a blurred one. How badly does it fail, does it know
# that it fails, and how little does it take to mend it? Vasiljevic, Chakrabarti and Shakhnarovich asked this in 2016
# {cite}`vasiljevic2016` of VGG-16 on ImageNet. This book reproduces their paper, experiment by experiment, from code that
# runs on a laptop.

# %% tags=["parameters", "remove-cell"]
profile = "emoji"
overrides = {}
published = False

# %% tags=["remove-cell"]
from blurpaper import figures, results
from blurpaper.page import Page, percent

page = Page(profile, overrides, published)

# %% [markdown]
# ## The answer in one figure
#
# Top-5 accuracy of a network trained on sharp images, as defocus grows: as the paper printed it, and as this run measured
# it. Each line is a scale at which the image is shown to the network.

# %% tags=["hide-input"]
sources = page.sources("table1", metric="top5")
page.figure(
    figures.accuracy_by_condition(sources["paper"], sources),
    caption="Accuracy of a network trained on sharp images falls with defocus, and faster at the larger scale. Bands: 95 % intervals.",
    alt="Line plots of top-5 accuracy against blur radius 0 to 8, one panel for each source; all lines fall to the right, "
    "the line of scale 512 most steeply.",
)

# %% tags=["remove-input"]
here = results.select(sources["this run"], scale="256").set_index("condition")["value"]
paper = results.select(sources["paper"], scale="256").set_index("condition")["value"]
page.say(
    f"From sharp images to a defocus of radius 8, top-5 accuracy at scale 256 falls from {percent(paper['sharp'])} to "
    f"{percent(paper['D8'])} in the paper, and from {percent(here['sharp'])} to {percent(here['D8'])} in this run. "
    "The chapters that follow take the experiments one at a time, in the paper's order."
)

# %% [markdown]
# ## How to read the pages
#
# - **Conditions.** `sharp`, or the name of a blur: `D8` is a defocus disk of radius 8 pixels, `H8` and `V8` are horizontal
#   and vertical motion over 8 pixels, `G4` is a Gaussian of standard deviation 4, `shake` a hundred trajectories of a
#   shaking camera, one for each image. Sizes are in pixels of an image whose smaller side is 384.
# - **Scales.** `128`, `256`, `512`: the smaller side at which the blurred image is shown to the network; `256+512` averages
#   two. The names are the paper's, whatever pixels a profile gives them.
# - **Sources.** Wherever a number of the paper exists it stands beside ours. *paper*: VGG-16 on ImageNet's 50,000
#   validation images. *photos*: real photographs and a real ImageNet network, from the committed results. *this run*: what
#   this book was built from. The small numbers are 95 % intervals: bootstrapped over images for our runs, binomial for
#   the paper's accuracies.
# - **Prose.** Every number in a sentence is computed in the page where it stands.

# %% tags=["remove-input"]
page.say(
    f"This book was built from **{page.run}**: {page.profile.title}. The model is `{page.profile.model}`, tested on "
    f"{' and '.join(page.profile.evaluation.test_sets)}."
)

# %% [markdown]
# ## How to run it again
#
# `make book` in a checkout installs everything, runs the embedded profile and builds this book. One chapter alone, with one
# number changed:
#
# ```sh
# blurpaper chapter 02 --profile emoji -p seed=1
# ```
#
# The chapters are percent scripts in `notebooks/`; `make lab` opens them in JupyterLab. What is computed once is kept in a
# store and loaded afterwards, so that editing a plot retrains nothing.
