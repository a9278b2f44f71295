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
# # How blurred are my images, and when to ask for others
#
# `blurpaper evaluate` ends with two lines on one's own folder: at which confidence to ask for another picture, and how blurred the
# images seem to be. Here is how both come about, and how well they did where the truth was known.

# %% tags=["parameters", "remove-cell"]
profile = "emoji"
overrides = {}
published = False

# %% tags=["remove-cell"]
from blurpaper import advice, blurriness, figures, speed, tallies
from blurpaper import profile as profiles
from blurpaper.networks import NetworkSpec
from blurpaper.page import Page, percent
from blurpaper.tables import rounded

page = Page(profile, overrides, published)


def between(found):
    value, low, high = (rounded(100 * one, 1) for one in found)
    return f"{value} % ({low}–{high})"


# %% [markdown]
# ## When to ask for another picture
#
# A network that is unsure can say so instead of guessing {cite}`geifman2017`. Of all thresholds on its confidence, the lowest is taken at which the
# answers that reach it are right as often as wished, over all conditions together; unless another rate is given (`--right`), as often as the
# network is on all sharp images, which is what its user has accepted. The threshold for each half of the images is chosen on the other
# half. Where a folder has no labels, or few, the committed decisions of the same network stand in for it; of other networks nothing is said.

# %% tags=["remove-input"]
RATE = 0.9
rows, kept_promise = [], []
for name in ("photos", "emoji"):
    settings = profiles.load(name)
    for spec in (
        NetworkSpec(settings.model),
        NetworkSpec(settings.model, "mix", recipe="agreement"),
    ):
        decided = advice.committed(spec, tallies.DISKS, "256", settings)
        for right in (None, RATE) if decided else ():
            found = advice.advise(decided, right, settings.evaluation.bootstrap)
            row = {
                "test set": settings.evaluation.test_sets[0],
                "network": str(spec).partition(":")[2],
            }
            if found is None:
                rows.append(row | {"threshold": "none reaches it"})
                continue
            kept_promise.append(found.kept_right[2] >= found.right)
            wished = f"{percent(found.right)}{', as sharp' if right is None else ''}"
            row |= {
                "wished": wished,
                "threshold": f"{found.threshold:.2f}",
                "kept and right": between(found.kept_right),
            }
            rows.append(
                row
                | {
                    f"away, {one}": percent(found.turned_away[one][0], 0)
                    for one in ("sharp", "D2", "D4", "D8")
                }
            )
if rows:
    page.table(
        speed.as_html(rows),
        "Thresholds on confidence at scale 256; of the answers kept, the share that is right, with its 95 % interval over images, on the half on "
        "which the threshold was not chosen; and the share of the images turned away. Committed decisions.",
    )
    page.say(
        f"In {sum(kept_promise)} of these {len(kept_promise)} cases the interval reaches the rate that was wished. To be right as often as on sharp images "
        "under any blur has its price: of strongly blurred images the original turns most away. A network that was tuned on blur turns away few."
    )
else:
    page.say("There are no committed decisions in this copy.")

# %% [markdown]
# **It holds for images like those it was chosen on.** The same thresholds, chosen on one set of photographs and used on another:

# %% tags=["remove-input"]
settings = profiles.load("photos")
rows, moved = [], []
for spec in (NetworkSpec(settings.model), NetworkSpec(settings.model, "mix", recipe="agreement")):
    on = [
        advice.committed(spec, tallies.DISKS, "256", settings, name)
        for name in settings.evaluation.test_sets
    ]
    for one, other in ((on[0], on[-1]), (on[-1], on[0])) if all(on) and len(on) > 1 else ():
        if found := advice.transferred(one, other, RATE, settings.evaluation.bootstrap):
            moved.append(found.kept_right[2] >= RATE)
            names = {"chosen on": one.where.split()[-1], "used on": other.where.split()[-1]}
            row = {
                "network": str(spec).partition(":")[2],
                **names,
                "threshold": f"{found.threshold:.2f}",
                "wished": percent(RATE, 0),
            }
            rows.append(row | {"kept and right": between(found.kept_right)})
if rows:
    page.table(speed.as_html(rows), "Thresholds carried from one set of photographs to another.")
    page.say(
        f"In {sum(moved)} of these {len(moved)} cases the interval reaches the rate that was wished. On images that are harder than those a threshold was "
        "chosen on, less is right than was promised; on easier ones, more. Labelled images of one's own are worth having."
    )

# %% [markdown]
# ## How blurred the images are
#
# With no sharp image beside it, a blur shows in how little is lost when the image is blurred again {cite}`zhuo2011`: soft edges have little left to lose.
# Eight such losses are measured, at four degrees, over the whole image and over its sharpest parts. How they are distributed among photographs
# that were blurred with disks of known radius was learnt once. The estimate is the radius at which the image would be most at home among those
# (the median, any radius being as likely beforehand), in the paper's pixels. Photographs are seen as at scale 256, so that those that
# were enlarged from a little less do not count as blurred.

# %% tags=["remove-input"]
known = blurriness.committed()
trial = known["trial"]
widest = max(
    (row for row in trial["rows"] if row["blur"] == "D8"), key=lambda row: row["high"] - row["low"]
)


def counted(sets):
    return ", ".join(f"{count} of {name}" for name, _, count in sets)


page.say(
    f"It was learnt from photographs ({counted(known['learnt from'])}) and tried on others ({counted(known['tried on'])}). There, from sharp to `D8`, "
    f"half of the estimates are within {trial['error']:.1f} pixels of the true radius, and the rank correlation of the two is {trial['rank correlation']:.2f}."
)
page.figure(
    figures.estimated_radii(trial["rows"]),
    "What is estimated under known blurs: the median and the middle four fifths of the photographs. Dotted: where the estimate would be exact.",
    "Estimated radius against true radius from sharp to D8. The medians of disks lie along the diagonal, in a band that is "
    f"{widest['high'] - widest['low']:.1f} pixels wide at D8. Gaussians lie a little below the diagonal, motion and shake far below it.",
)

# %% tags=["remove-input"]
SHOWN = {
    "blur": "blur",
    "file": "then",
    "radius": "true radius",
    "median": "estimate",
    "low": "from",
    "high": "to",
    "error": "error",
}
page.table(
    speed.as_html(
        [
            {
                heading: f"{row[name]:.1f}" if isinstance(row[name], float) else row[name]
                for name, heading in SHOWN.items()
            }
            | {"over D2": percent(row["blurred"], 0), "photographs": row["n"]}
            for row in trial["rows"]
        ]
    ),
    "Estimates under known blurs: median, the middle four fifths, the median of the absolute error, and the share of photographs called more blurred "
    "than D2. The true radius of other blurs is that of the disk of equal variance.",
)

# %% [markdown]
# What to mind:
#
# - **A guess for one image, an answer for a folder.** Photographs differ; the file of `--per-image` gives the range in which each may lie.
# - **A smooth sky is not blur**, and an image with next to no texture gets no estimate. Fog, soft skin or a painted wall may still pass for blur, and
#   noise or grain for sharpness.
# - **A shallow depth of field** is judged by the sharpest parts as well as by the whole; a subject out of focus before a sharp background is not found out.
# - **Motion** leaves the edges along it sharp, so that it seems less than it is; shake may seem anything.
# - **Compression** after the blur changed little in the trial; more of it than there adds edges of its own.
# - **Small images** that were enlarged by much have lost what a blur takes, and are told as blurred, which to a network they are.
