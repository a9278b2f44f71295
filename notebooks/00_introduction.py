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
# # Blur and recognition
#
# A network that recognises objects in sharp photographs fails on blurred ones. Vasiljevic, Chakrabarti and Shakhnarovich measured
# in 2016 {cite}`vasiljevic2016` how badly, whether it knows that it fails, and how little it takes to mend it. This book
# reproduces their paper, experiment by experiment, from code that runs on a laptop. First, what to do.

# %% tags=["parameters", "remove-cell"]
profile = "emoji"
overrides = {}
published = False

# %% tags=["remove-cell"]
from blurpaper import claims
from blurpaper.book import figures, remedies, tables
from blurpaper.book.page import Page, percent, with_interval
from blurpaper.book.show import in_words
from blurpaper.evaluation import results
from blurpaper.experiments.sources import Paper

page = Page(profile, overrides, published)

# %% [markdown]
# ## What to do about blurred images

# %% tags=["remove-input"]
source, found = remedies.remedies(page.source)
device = found["device"].max()
page.table(
    remedies.table(found),
    "What helps, by how the images are blurred: accuracy in per cent without it and with it, on the same test images under the conditions "
    "named; the gain in points, with its 95 % interval; and the time it takes"
    + (f" ({device})" if device else "")
    + ". Advice is given where the interval of a gain lies above zero under one of the blurs shown.",
    {source: found},
)

# %% [markdown]
# A PSF is named by its kind and size in pixels of an image whose smaller side is 384: `D8` is a defocus disk of radius 8, `H4`
# motion over 4 pixels, `shake` the path of a shaking camera. To try it:
# [blur a photograph yourself and see what two networks say](15_play), [use it on your images and networks](20_use_it),
# [add a kernel, a network or a data set](21_extend_it).

# %% [markdown]
# ## The answer in one figure
#
# Top-5 accuracy of a network trained on sharp images, as defocus grows: as the paper printed it, and as this run measured
# it. Each line is a scale at which the image is shown to the network.

# %% tags=["hide-input"]
sources = page.sources("table1", metric="top5")
page.figure(
    figures.curves(sources, "scale", "top-5 accuracy, %"),
    caption="Accuracy of a network trained on sharp images falls with defocus, and faster at the larger scale. Bands: 95 % intervals.",
    alt="Line plots of top-5 accuracy against the radius of the blur, a panel for each source and a line for each scale. "
    + in_words(sources, "scale"),
    sources=sources,
)

# %% tags=["remove-input"]
here = results.select(sources["this run"], scale="256").set_index("condition")["value"]
paper = results.select(sources["paper"], scale="256").set_index("condition")["value"]
on_photographs = ""
if "photos" in sources:
    photos = results.select(sources["photos"], scale="256").set_index("condition")["value"]
    on_photographs = f"On real photographs, with a network from ImageNet, it falls from {percent(photos['sharp'])} to {percent(photos['D8'])}. "
page.say(
    f"From sharp images to a defocus of radius 8, top-5 accuracy at scale 256 falls from {percent(paper['sharp'])} to "
    f"{percent(paper['D8'])} in the paper, and from {percent(here['sharp'])} to {percent(here['D8'])} in this run. {on_photographs}"
    "The chapters that follow take the experiments one at a time, in the paper's order."
)

# %% [markdown]
# ## What mends it

# %% tags=["hide-input", "remove-input"]
recovered = page.ours("recovery")
five = results.select(Paper().rows("table3"), metric="top5").set_index(["network", "condition"])[
    "value"
]
lines = [
    f"In the paper, three epochs of fine-tuning on a mix of sharp images and four degrees of defocus bring back "
    f"{percent((five['mix', 'D8'] - five['original', 'D8']) / (five['original', 'sharp'] - five['original', 'D8']), 0)} of what top-5 "
    "accuracy loses under `D8`."
]
for source, rows in recovered.items():
    share = results.select(rows, metric="top5_recovered", condition="D8").set_index("recipe")
    cost = results.select(rows, metric="top5_vs_original", condition="sharp").set_index("recipe")
    lines += [
        f"- *{source}*, recipe `{recipe}`: {with_interval(share.loc[recipe])} of the loss, while sharp images change by "
        f"{with_interval(cost.loc[recipe], unit=' points')}."
        for recipe in share.index
    ]
page.say(lines[0] + (" Here:\n\n" + "\n".join(lines[1:]) if lines[1:] else ""))
page.say(
    "`labels` is the paper's recipe. `agreement` needs no labels: the network learns to see the blurred image as it saw the sharp one."
)

# %% [markdown]
# ## What holds
#
# Every sentence of the paper that numbers can bear out is decided by code, in [the ledger](09_claims).

# %% tags=["remove-input"]
for source, verdicts in tables.counts(claims.ledger(page.source)).items():
    told = ", ".join(f"{number} {verdict}" for verdict, number in verdicts.most_common())
    page.say(f"- *{source}*: of {sum(verdicts.values())} claims, {told}.")

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
