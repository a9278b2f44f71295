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
# # Networks trained on sharp images
#
# The paper's first experiment (its Section 3): take a network that was trained on sharp photographs, blur the test images,
# and look at two things. How often is the truth still among its answers? And when it errs, does it sound sure?
#
# We shall see accuracy fall with every kind of blur, fall faster where the image is shown larger, and confidence fall with
# it on average, so that doubt is a usable signal, though not on every image.

# %% tags=["parameters", "remove-cell"]
profile = "emoji"
overrides = {}
published = False

# %% tags=["remove-cell"]
import itertools

from blurpaper import data, experiments
from blurpaper.book import figures
from blurpaper.book.page import (
    PHOTOS,
    RUN,
    Page,
    foremost,
    in_words,
    percent,
    points,
    with_interval,
)
from blurpaper.book.tables import comparison
from blurpaper.data.emoji import ATTRIBUTION
from blurpaper.data.examples import EXAMPLES, photograph
from blurpaper.data.images import to_canonical
from blurpaper.evaluation import metrics, protocol, results
from blurpaper.experiments.measurements import DISKS
from blurpaper.experiments.sources import Committed
from blurpaper.runs import Run
from blurpaper.runs import profile as profiles
from blurpaper.runs.store import Store

page = Page(profile, overrides, published)
settings = page.profile.evaluation
main_set = settings.test_sets[0]

# %% [markdown]
# ## The images

# %% tags=["hide-input"]
if main_set == "emoji":
    images = data.load_images("emoji", "test", Run(page.profile, Store()))
    page.photograph(
        figures.gallery(
            [images[n] for n in range(10)], [images.classes[images.labels[n]] for n in range(10)]
        ),
        caption=f"The first ten test images of the embedded data. {ATTRIBUTION}",
        alt="Ten small pictures, each of one drawn object on a coloured cloudy background, with its class as title.",
    )
else:
    page.say(
        f"The test images of {main_set} are not ours to show; scikit-image's photographs below stand for them."
    )

# %% [markdown]
# (figure1)=
# ## One image, sharp and blurred (Figure 1)
#
# The five likeliest classes before and after a defocus of radius 8. Right answers are green and have a tick.

# %% tags=["hide-input"]
rows = results.select(page.rows("figure1"), network="original")
photos = profiles.load("photos")


def guesses(name, condition):
    """The five likeliest classes with their probabilities, for those who cannot see them."""
    likely = results.select(rows, item=name, condition=condition, metric="probability")
    return ", ".join(
        f"{guess} {percent(value, 0)}" for guess, value in zip(likely["parameter"], likely["value"])
    )


def show_example(name, settings, image, answers, source):
    canonical = to_canonical(image, settings.protocol.canonical)
    shown = {
        condition: protocol.blurred(
            canonical[None], [name], condition, settings.protocol.canonical
        )[0]
        for condition in experiments.FIGURE1_CONDITIONS
    }
    network = results.select(rows, item=name)["model"].iloc[0]
    entropy = results.select(rows, item=name, metric="entropy").set_index("condition")["value"]
    page.photograph(
        figures.likely_classes(rows, name, shown, set(answers)),
        caption=f"{name} seen by {network}, which was trained on sharp images: the entropy goes from {entropy['sharp']:.2f} to "
        f"{entropy['D8']:.2f} nats. {source}",
        alt=f"Pictures of {answers[0]}, sharp and blurred, above bars of the five likeliest classes. "
        + " ".join(f"{condition}: {guesses(name, condition)}." for condition in shown),
    )


for name in sorted(set(rows["item"])):
    if name.startswith("test/"):
        number = list(images.ids).index(name)
        show_example(
            name, page.profile, images[number], [images.classes[images.labels[number]]], ATTRIBUTION
        )
for example in EXAMPLES:
    show_example(
        f"scikit-image/{example.name}",
        photos,
        photograph(example),
        example.answers,
        f"Photograph: {example.source}.",
    )

# %% [markdown]
# (table1)=
# ## Accuracy under every blur (Table 1)
#
# Twelve conditions, four scale settings. Each test image is blurred once for a condition and shown to the network at each
# scale; log-probabilities are averaged over the positions of the network's field, then over scales for 256+512.

# %% tags=["hide-input"]
sources = page.sources("table1")
page.table(
    comparison(sources, {"top5": "top-5"}, settings.original_conditions, settings.original_scales),
    "Top-5 accuracy in per cent, with 95 % intervals, of networks trained on sharp images (Table 1).",
    sources,
)

# %% tags=["hide-input"]
ours = {
    name: results.select(frame, metric="top1") for name, frame in sources.items() if name != "paper"
}
page.table(
    comparison(ours, {"top1": "top-1"}, settings.original_conditions, settings.original_scales),
    "The same for top-1 accuracy, which the paper does not report.",
    ours,
)

# %% tags=["hide-input"]
page.figure(
    figures.accuracy_by_condition(sources["paper"], sources),
    caption="Top-5 accuracy against defocus at each scale setting. Bands: 95 % intervals.",
    alt="Line plots of top-5 accuracy against blur radius, a panel for each source and a line for each scale. "
    + in_words(
        {name: results.select(frame, metric="top5") for name, frame in sources.items()}, "scale"
    ),
    sources=sources,
)

# %% tags=["remove-input"]
top5 = results.select(sources["this run"], metric="top5", data=main_set).set_index(
    ["scale", "condition"]
)
paper = sources["paper"].set_index(["scale", "condition"])["value"]


def lost(scale, frame):
    return frame[scale, "sharp"] - frame[scale, "D8"]


values = top5["value"]
scales = [scale for scale in ("256", "256+512", "512") if scale in settings.original_scales]
page.say(
    f"On sharp images at scale 256 this run reaches {with_interval(top5.loc[('256', 'sharp')])}; under `D8` "
    f"{with_interval(top5.loc[('256', 'D8')])}. Defocus of radius 8 takes "
    + "; ".join(
        f"{points(lost(s, values))} at {s} (paper: {points(lost(s, paper))})" for s in scales
    )
    + "."
)

# %% tags=["remove-input"]
losses = [lost(scale, values) for scale in scales]
if losses == sorted(losses) and len(scales) > 1:
    page.say(
        "The larger the scale, the larger the loss, as in the paper: showing the image larger also enlarges its blur, and for "
        "strong blur that costs more than seeing the object at two sizes gains."
    )

# %% tags=["remove-input"]
if "128" in settings.original_scales:
    best = "better" if values["128", "G8"] > values["256", "G8"] else "not better"
    zeros = (
        ", and the map of its last stage must be padded with zeros"
        if "vgg" in page.profile.model
        else ""
    )
    page.say(
        f"At 128 the objects are smaller than the network has met in training{zeros}: sharp images fall to "
        f"{percent(values['128', 'sharp'])}. In the paper the largest Gaussian is the one "
        f"condition under which 128 beats 256; here it is {best} ({percent(values['128', 'G8'])} against "
        f"{percent(values['256', 'G8'])})."
    )

# %% [markdown]
# ## Two ways to read the last map
#
# A modern network ends in the average of its whole last map. Applied as the paper applies VGG-16, the average is taken at each
# position over as much of the map as one training crop covered, and log-probabilities are averaged. Which one is used matters.

# %% tags=["remove-input"]
both = page.photographs("table1")
if both is not None:
    model, pooled = photos.model, photos.evaluation.global_pooling_model
    frames = {"at every position": model, "whole map": pooled}
    frames = {
        name: foremost(results.select(both, model=one), photos) for name, one in frames.items()
    }
    shown = [
        scale for scale in ("256", "256+512", "512") if scale in set(frames["whole map"]["scale"])
    ]
    page.table(
        comparison(frames, {"top5": "top-5"}, photos.evaluation.second_conditions, shown),
        f"Top-5 accuracy in per cent on photographs ({photos.evaluation.test_sets[0]}) of {model}, applied at every position and "
        "averaging its whole last map first.",
        frames,
        of=PHOTOS,
    )
else:
    page.say("No results on photographs are published with this copy.")

# %% [markdown]
# ## Confidence (Table 2, left half)
#
# A network that errs but says so is half as bad. The entropy of the predicted distribution says how undecided it is, the
# cross-entropy how surprised by the truth. The expected calibration error (ECE), which the paper does not give, compares
# confidence with accuracy; AURC is the mean error over all thresholds on confidence.

# %% tags=["hide-input"]
sources2 = page.sources("table2", network="original")
disks = DISKS
page.table(
    comparison(
        sources2,
        {"entropy": "entropy, nats", "cross_entropy": "cross-entropy, nats", "ece": "ECE, %", "aurc": "AURC, %"},
        disks, ["256"],
    ),
    "Confidence at scale 256 of networks trained on sharp images (the paper's Table 2, column Original; it reports sharp, D4 and D8).",
    sources2,
)  # fmt: skip

# %% tags=["hide-input"]
decided = page.source.decisions(model=page.profile.model, network="original", input="as is")
decided = foremost(decided, page.profile)
page.figure(
    figures.accuracy_against_entropy(decided),
    caption="Every condition at every scale, with 95 % intervals of both: where accuracy is lower, entropy is higher. Labels: scale 256.",
    alt="Scatter plot of top-5 accuracy against mean entropy, a point for each condition and a mark for each scale. At scale 256: "
    + ", ".join(
        f"{name} {group['entropy'].mean():.2f} nats and {percent((group['rank'] < 5).mean())}"
        for name, group in results.select(decided, scale="256").groupby("condition", sort=False)
    )
    + ".",
)

# %% tags=["remove-input"]
entropy = results.select(sources2["this run"], metric="entropy", data=main_set).set_index(
    "condition"
)
rising = all(entropy["value"][a] < entropy["value"][b] for a, b in itertools.pairwise(disks))
page.say(
    f"Entropy {'rises at each step of defocus' if rising else 'does not rise at every step of defocus'}, from "
    f"{with_interval(entropy.loc['sharp'], percents=False)} nats on sharp images to "
    f"{with_interval(entropy.loc['D8'], percents=False)} under `D8`."
)

# %% [markdown]
# ## Asking for another picture
#
# The paper suggests that a system could use low confidence to ask for another photograph. Suppose it keeps only its most
# confident predictions {cite}`geifman2017`: how many of those are wrong?

# %% tags=["hide-input"]
at_256 = {RUN: results.select(decided, scale="256")}
if both is not None and page.profile.name != photos.name:
    committed = Committed(photos).decisions(
        model=photos.model, network="original", input="as is", scale="256"
    )
    at_256 = {PHOTOS: foremost(committed, photos), **at_256}
wrong = {
    name: (frame["rank"] >= 1).groupby(frame["condition"], observed=True).mean()
    for name, frame in at_256.items()
}
page.figure(
    figures.risk_coverage(at_256, disks),
    caption="Risk against coverage at scale 256: the share of the predictions kept that are wrong (top-1), as only the most confident are kept. "
    "Bands: 95 % intervals.",
    alt="Curves of the share of wrong predictions against the share kept, a panel for each source and a curve for each degree of defocus. "
    "If all are kept, "
    + "; ".join(
        f"{name}: {', '.join(f'{condition} {percent(of[condition])}' for condition in disks)}"
        for name, of in wrong.items()
    )
    + ".",
    sources=at_256,
)

# %% tags=["remove-input"]
for name, frame in at_256.items():
    blurred = results.select(frame, condition="D8")
    kept, risk = metrics.risk_coverage(
        blurred["confidence"].to_numpy(), (blurred["rank"] < 1).to_numpy()
    )
    page.say(
        f"- *{name}*: under `D8`, {percent(risk[-1])} of all predictions are wrong, and {percent(risk[len(risk) // 2 - 1])} of the more confident half."
    )

# %% [markdown]
# To ask for another picture makes a network no better; what does is the matter of the next chapters. On images of one's own,
# the report of `blurpaper evaluate` finds the confidence from which on the answers are right as often as on sharp images
# ([measure your model](21_measure_your_model)).

# %% [markdown]
# ## Claims decided here

# %% tags=["remove-input"]
page.claims("table1", "figure1")
