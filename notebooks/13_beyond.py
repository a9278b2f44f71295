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
# # What we found that the paper does not say

# %% tags=["parameters", "remove-cell"]
profile = "emoji"
overrides = {}
published = False

# %% tags=["remove-cell"]
from blurpaper import claims
from blurpaper.book.page import PHOTOS, RUN, Page, with_interval
from blurpaper.evaluation import results

page = Page(profile, overrides, published)
POINTS = {"unit": " points"}


def each(experiment, **columns):
    """Source -> rows of an experiment on its first test set, by condition, where it has some."""
    found = {
        name: results.select(frame, **columns)
        for name, frame in page.sources(experiment).items()
        if name in (PHOTOS, RUN)
    }
    return {name: frame for name, frame in found.items() if not frame.empty}


# %% [markdown]
# **A control without blur.** To fine-tune is to train longer. How much of the gain is that, and not the blur?

# %% tags=["remove-input"]
for name, frame in each(
    "table3", network="mix", recipe="labels", condition=["sharp", "D8"]
).items():
    of = frame.set_index(["metric", "condition"])
    page.say(
        f"- *{name}*: beside a network trained as long on sharp images alone, the mix has {with_interval(of.loc[('top1_vs_sharp-only', 'D8')], **POINTS)} more "
        f"top-1 accuracy under `D8`; on sharp images the difference is {with_interval(of.loc[('top1_vs_sharp-only', 'sharp')], **POINTS)}."
    )

# %% [markdown]
# **Unsure is not calibrated.** The paper shows that entropy rises with blur. Does confidence then say how often a network is right?
# The expected calibration error is the mean gap between the two.

# %% tags=["remove-input"]
for name, frame in each(
    "table2",
    metric="ece",
    network=["original", "mix"],
    recipe=["", "labels"],
    condition=["sharp", "D8"],
).items():
    of = frame.set_index(["network", "condition"])
    page.say(
        f"- *{name}*: the original's goes from {with_interval(of.loc[('original', 'sharp')])} on sharp images to "
        f"{with_interval(of.loc[('original', 'D8')])} under `D8`; that of the mix, from {with_interval(of.loc[('mix', 'sharp')])} to "
        f"{with_interval(of.loc[('mix', 'D8')])}."
    )

# %% [markdown]
# **No labels are needed.** A network that learns to see a blurred image as it saw the sharp one needs photographs, and no labels.

# %% tags=["remove-input"]
for name, frame in page.ours("recovery").items():
    of = results.select(
        frame, metric=["top5_recovered", "top5_vs_original"], seed=["all", "0"]
    ).set_index(["recipe", "metric", "condition"])
    told = [
        f"{with_interval(of.loc[(recipe, 'top5_recovered', 'D8')])} {words}"
        for recipe, words in (("labels", "with labels"), ("agreement", "without"))
        if (recipe, "top5_recovered", "D8") in of.index
    ]
    page.say(
        f"- *{name}*: of what `D8` costs in top-5 accuracy, fine-tuning on the mix brings back {' and '.join(told)}."
    )

# %% [markdown]
# **Told the blur, deblurring is hard to beat; told it wrongly, it is easily beaten.** [Deblurring first](06_deblurring) has the numbers.
# **Under blur things are misnamed as well as mislocated.** [Segmentation](07_segmentation) tells the two apart.
#
# **Where photographs and the embedded data disagree.** The embedded data shows the effects in minutes and without a download. It
# is another task, and some claims come out otherwise:

# %% tags=["remove-input"]
entries = claims.ledger(page.source)
decided = (claims.REPRODUCED, claims.NOT_REPRODUCED)
apart = [
    entry
    for entry in entries
    if PHOTOS in entry.findings
    and {entry.findings[PHOTOS].verdict, entry.findings[RUN].verdict} == set(decided)
]
lines = [
    f"- {entry.claim.says} *photos*: {entry.findings[PHOTOS].verdict}; *this run*: {entry.findings[RUN].verdict}."
    for entry in apart
]
page.say(
    "\n".join(lines)
    if lines
    else "None that both decide."
    if PHOTOS in entries[0].findings
    else "This run is the one on photographs."
)
