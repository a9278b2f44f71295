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
# # Fine-tuning on blur
#
# Is the loss under blur a lack of information, a weakness of the architecture, or only a lack of practice? The paper's Section
# 4.1 continues the training of the sharp network for three epochs, on images blurred with kernels drawn from a *mix*, and
# looks at what comes back: on the blur that was practised, on other degrees of it, and on other kinds.
#
# We shall see how much of the loss comes back and what it costs on sharp images, what practice on one blur alone does to the
# rest, whether more training without blur helps (a control that the paper lacks), and that labels are not needed.

# %% tags=["parameters", "remove-cell"]
profile = "emoji"
overrides = {}
published = False

# %% tags=["remove-cell"]

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
from blurpaper.data.catalogue import CATALOGUE
from blurpaper.data.emoji import ATTRIBUTION
from blurpaper.data.images import to_canonical
from blurpaper.evaluation import protocol, results
from blurpaper.experiments.measurements import DISKS
from blurpaper.kernels import MIXES
from blurpaper.runs import Run
from blurpaper.runs.store import Store

page = Page(profile, overrides, published)
settings = page.profile.evaluation
main_set = settings.test_sets[0]
conditions = settings.finetuned_conditions

# %% [markdown]
# ## The mixes
#
# Each image of a batch is brought to a pre-blur scale drawn from 356, 384 and 410, blurred with a kernel drawn from the mix,
# resized by target/384 so that a kernel always has the same size at the network, and cropped.

# %%
MIXES

# %% [markdown]
# `original` is where all start from; `sharp-only` continues as long, without blur.
#
# (table3)=
# ## Every network under every blur (Table 3)

# %% tags=["hide-input"]
sources = {
    name: results.select(frame, recipe=["", "labels"])
    for name, frame in page.sources("table3").items()
}
networks = [
    "original",
    *(name for name in settings.finetuned_networks if not {"/", "#"} & set(name)),
]
table = results.select(sources["this run"], data=main_set)
page.table(
    comparison(sources, {"top5": "top-5"}, conditions, networks, column="network"),
    "Top-5 accuracy in per cent at scale 256, one group of columns a network, named by the mix it was fine-tuned on (Table 3).",
    sources,
)

# %% tags=["hide-input"]
page.table(
    comparison({"this run": table}, {"top1": "top-1"}, conditions, networks, column="network"),
    "The same for top-1 accuracy.",
    {RUN: results.select(table, metric="top1")},
)

# %% tags=["hide-input"]
page.figure(
    figures.transfer_matrix(table, networks, conditions, "top1"),
    caption="Top-1 accuracy of each network (row) under each condition (column), with half the width of its 95 % interval: what practice on one "
    "blur does for another.",
    alt="Heat map of top-1 accuracy, dark where a network fails. "
    + in_words({"networks": results.select(table, metric="top1", network=networks)}, "network"),
)

# %% tags=["remove-input"]
top1 = table[table["metric"] == "top1"].set_index(["network", "condition"])
value = top1["value"]
lost = value["original", "sharp"] - value["original", "D8"]
back = value["mix", "D8"] - value["original", "D8"]
change_by_mix = (
    table[table["network"] == "mix"].set_index(["metric", "condition"]).loc["top1_vs_original"]
)
five = sources["paper"].set_index(["network", "condition"])["value"]
paper_back = (five["mix", "D8"] - five["original", "D8"]) / (
    five["original", "sharp"] - five["original", "D8"]
)
page.say(
    f"**What comes back.** Under `D8` the original loses {points(lost)} of top-1 accuracy; the mix of five brings back "
    f"{points(back)}, that is {percent(back / lost, 0)} of the loss (the paper's top-5: {percent(paper_back, 0)}). On sharp images it "
    f"changes accuracy by {with_interval(change_by_mix.loc['sharp'], unit=' points')}."
)

# %% tags=["remove-input"]
only = value["original", "sharp"] - value["onlyD8", "sharp"]
edge = value["onlyD8", "D8"] - value["mix", "D8"]
page.say(
    f"**Knowing the blur.** `onlyD8` is {points(abs(edge))} {'better' if edge > 0 else 'worse'} than the mix on the blur it knows, "
    f"and loses {points(only)} on sharp images (the paper's top-5: {points(five['original', 'sharp'] - five['onlyD8', 'sharp'])})."
)

# %% [markdown]
# ## Is it the blur, or only the extra training?
#
# Paired differences: the same test images, resampled together.

# %% tags=["hide-input"]
differences = {"top1_vs_original": "vs original", "top1_vs_sharp-only": "vs sharp-only"}
tuned = [name for name in networks if name not in experiments.BASELINES]
page.table(
    comparison({"this run": table}, differences, conditions, tuned, column="network"),
    "Difference of top-1 accuracy, in points of per cent, from the original and from the control.",
    {RUN: results.select(table, metric=list(differences))},
)

# %% tags=["remove-input"]
control = table[
    (table["network"] == "sharp-only") & (table["metric"] == "top1_vs_original")
].set_index("condition")
gain = table[(table["network"] == "mix") & (table["metric"] == "top1_vs_sharp-only")].set_index(
    "condition"
)
page.say(
    f"As much training without blur changes accuracy under `D8` by {with_interval(control.loc['D8'], unit=' points')}; the mix is "
    f"{with_interval(gain.loc['D8'], unit=' points')} above that control"
    + (
        ": the gain is due to the blur."
        if gain.loc["D8", "low"] > 0
        else ", which leaves open what the gain is due to."
    )
)

# %% [markdown]
# ## From one kind of blur to another

# %% tags=["remove-input"]
difference = table[table["metric"] == "top1_vs_original"].set_index(["network", "condition"])


def change(network, condition):
    return f"{network} on {condition}: {with_interval(difference.loc[(network, condition)], unit=' points')}"


page.say(
    "The paper finds that practice on defocus helps under camera shake and the reverse, that shake helps under motion, and that "
    "defocus alone slightly hurts under motion. Changes of top-1 accuracy from the original in this run (the table above has those on photographs, which may be others):\n\n"
    + "\n".join(
        f"- {change(*pair)}"
        for pair in [("mix", "shake"), ("sharp+shake", "D8"), ("sharp+shake", "H8"), ("mix", "H8")]
    )
)

# %% [markdown]
# ## The baseline that costs nothing
#
# A network with batch normalisation can be adapted without any training: keep every weight, and only re-estimate the mean and
# variance of each channel on blurred images.

# %% tags=["hide-input"]
whole = results.select(
    foremost(page.rows("table3"), page.profile), recipe=["", "labels", "batch-norm"], metric="top1"
)
named = whole.assign(
    network=whole["network"] + whole["recipe"].map({"batch-norm": ", statistics only"}).fillna("")
)
shown = [
    name
    for mix in ("original", "mix", "onlyD8")
    for name in (f"{mix}, statistics only", mix)
    if name in set(named["network"])
]
page.table(
    comparison({"this run": named}, {"top1": "top-1"}, conditions, shown, column="network"),
    "Top-1 accuracy with new batch-norm statistics alone, beside fine-tuning on the same mix.",
    {RUN: whole},
)

# %% tags=["remove-input"]
if "onlyD8, statistics only" in shown:
    free = named.set_index(["network", "condition"])["value"]
    share = (free["onlyD8, statistics only", "D8"] - free["original", "D8"]) / lost
    page.say(
        f"Statistics of `D8` alone bring back {percent(share, 0)} of the loss under `D8`; fine-tuning on the mix, {percent(back / lost, 0)}."
    )

# %% [markdown]
# ## Without labels
#
# The paper ends by asking for networks that agree, on blurred images, with themselves on sharp ones. The recipe `agreement` does
# that: the original network looks at a sharp crop, the network in training at the same crop blurred, and the loss is the
# divergence between their predictions, plus a distance between their last maps. No label is used, so any photographs will do.

# %% tags=["hide-input"]
tables = page.ours("recovery")
recovered = tables["this run"]
blurs = [
    condition
    for condition in conditions
    if condition in set(results.select(recovered, metric="top5_recovered")["condition"])
]
for name, frame in tables.items():
    share = results.select(frame, metric="top5_recovered")
    change = results.select(frame, metric="top5_vs_original")
    of = f"{name}, all test images ({frame['data'].iloc[0]}) and seeds together"
    page.table(
        comparison(
            {name: share},
            {"top5_recovered": "top-5"},
            blurs,
            ["labels", "agreement"],
            column="recipe",
        ),
        f"Share of the original's loss of top-5 accuracy that fine-tuning on the mix brings back, in per cent: {of}.",
        {name: share},
    )
    page.table(
        comparison(
            {name: change},
            {"top5_vs_original": "top-5"},
            conditions,
            ["labels", "agreement"],
            column="recipe",
        ),
        f"Change of top-5 accuracy by fine-tuning on the mix, in points of per cent: {of}.",
        {name: change},
    )

# %% tags=["remove-input"]
counts = {name: source.counts for name, source in CATALOGUE.items()}
lines = [
    f"On photographs this book has {counts['imagenet-sample']['train']:,} labelled images to fine-tune on, where the paper had "
    f"{counts['imagenet']['train']:,}; without labels it can use more of them, and asks more of each."
]
for name, frame in tables.items():
    share = results.select(frame, metric="top5_recovered", condition="D8").set_index("recipe")
    cost = results.select(frame, metric="top5_vs_original", condition="sharp").set_index("recipe")
    lines += [
        f"*{name}*, {how}: {with_interval(share.loc[recipe])} of the loss under `D8` comes back, and sharp images change by "
        f"{with_interval(cost.loc[recipe], unit=' points')}."
        for recipe, how in {"labels": "with labels", "agreement": "without"}.items()
        if recipe in share.index
    ]
page.say("\n\n".join(lines))

# %% [markdown]
# ## A fine-grained task
#
# Ten breeds of dog differ in details that blur takes first. The test images of `imagewoof` are from ImageNet's validation set:
# once every class of ImageNet may be the answer, once only the ten breeds.

# %% tags=["hide-input"]
table3 = page.photographs("table3")
if table3 is not None and "imagewoof" in set(table3["data"]):
    kept = results.select(
        table3, data="imagewoof", seed="0", recipe=["", "labels", "agreement"], metric="top1"
    )
    dogs = kept.assign(
        network=kept["network"] + kept["recipe"].map({"agreement": ", no labels"}).fillna("")
    )
    shown = [
        name
        for name in ("original", "sharp-only", "mix", "mix, no labels", "onlyD8")
        if name in set(dogs["network"])
    ]
    for classes, among in (
        ("1000", "among ImageNet's thousand classes"),
        ("10", "among the ten breeds"),
    ):
        page.table(
            comparison(
                {PHOTOS: results.select(dogs, classes=classes)},
                {"top1": "top-1"},
                conditions,
                shown,
                column="network",
            ),
            f"Top-1 accuracy in per cent on imagewoof, {among}.",
            {PHOTOS: results.select(kept, classes=classes)},
        )
else:
    page.say("No results on imagewoof are published with this copy.")

# %% [markdown]
# (table2)=
# ## Confidence, before and after (Table 2)

# %% tags=["hide-input"]
confidence = page.sources("table2", recipe=["", "labels"])
disks = DISKS
page.table(
    comparison(
        confidence,
        {"entropy": "entropy, nats"},
        disks,
        ["original", "sharp-only", "mix"],
        column="network",
    ),
    "Mean entropy of the predictions at scale 256 (Table 2).",
    confidence,
)

# %% tags=["hide-input"]
page.table(
    comparison(
        confidence,
        {"cross_entropy": "cross-entropy, nats"},
        disks,
        ["original", "sharp-only", "mix"],
        column="network",
    ),
    "Mean cross-entropy at scale 256 (Table 2).",
    confidence,
)

# %% tags=["hide-input"]
calm = results.select(confidence["this run"], data=main_set)
page.figure(
    figures.by_network(calm, "entropy", "mean entropy, nats", ["original", "sharp-only", "mix"]),
    caption="Entropy against defocus, before and after fine-tuning. Bands: 95 % intervals.",
    alt="Three lines of mean entropy, in nats, against blur radius, one for each network. "
    + in_words(
        {
            "networks": results.select(
                calm, metric="entropy", network=["original", "sharp-only", "mix"]
            )
        },
        "network",
        percents=False,
    ),
)

# %% tags=["remove-input"]
entropy = calm[calm["metric"] == "entropy"].set_index(["network", "condition"])["value"]
rise = {name: entropy[name, "D8"] - entropy[name, "sharp"] for name in ("original", "mix")}
js = calm[calm["metric"] == "js_divergence"].set_index(["network", "condition"])
page.say(
    f"From sharp to `D8` entropy rises by {rise['original']:.2f} nats for the original and by {rise['mix']:.2f} for the mix. The paper "
    "calls the fine-tuned network's distributions on a sharp and a blurred image very similar; as a number, the mean Jensen-Shannon "
    f"divergence between the two under `D8` is {with_interval(js.loc[('original', 'D8')], percents=False)} nats for the original and "
    f"{with_interval(js.loc[('mix', 'D8')], percents=False)} for the mix, where 0 is the same and the logarithm of two is disjoint."
)

# %% tags=["hide-input"]
likely = results.select(page.rows("figure1"), network="mix")
if main_set == "emoji":
    images = data.load_images("emoji", "test", Run(page.profile, Store()))
    name = likely["item"].iloc[0]
    number = list(images.ids).index(name)
    canonical = page.profile.protocol.canonical
    sharp = to_canonical(images[number], canonical)[None]
    shown = {
        c: protocol.blurred(sharp, [name], c, canonical)[0] for c in experiments.FIGURE1_CONDITIONS
    }
    answer = images.classes[images.labels[number]]
    page.photograph(
        figures.likely_classes(likely, name, shown, {answer}),
        caption=f"The image of Figure 1 again, seen by the network fine-tuned on the mix. {ATTRIBUTION}",
        alt=f"A drawn {answer}, sharp and blurred, above bars of the five likeliest classes by the fine-tuned network. "
        + "; ".join(
            f"{condition}: "
            + ", ".join(
                f"{guess} {percent(value, 0)}"
                for guess, value in zip(group["parameter"], group["value"])
            )
            for condition, group in results.select(likely, item=name, metric="probability").groupby(
                "condition", sort=False
            )
        )
        + ".",
    )

# %% [markdown]
# ## Image by image (Figure 3)
#
# Is the truth among the five likeliest classes? A tick says yes, a cross no; below it stand the network's first guess and the
# probability that it gives it. Shown are, for each condition, the first test images on which the three networks do not agree.

# %% tags=["hide-input"]
rows, guesses = page.rows("figure3"), page.rows("figure3_guesses")


def said(place, condition):
    """What each network says of an image: network -> verdict."""
    ranks, first = (
        results.select(frame, item=place, condition=condition).set_index("network")
        for frame in (rows, guesses)
    )
    return {
        network: figures.Verdict(rank <= 5, first["parameter"][network], first["value"][network])
        for network, rank in ranks["value"].items()
    }


def in_sentences(titles, verdicts):
    return " ".join(
        f"{title}: "
        + ", ".join(
            f"{network} {'right' if one.right else 'wrong'} ({one.words})"
            for network, one in lines.items()
        )
        + "."
        for title, lines in zip(titles, verdicts)
    )


if main_set == "emoji":
    number_of = {name: number for number, name in enumerate(images.ids)}
    pictures, titles, verdicts = [], [], []
    for (name, condition), group in results.select(rows, data="emoji").groupby(
        ["item", "condition"], sort=False
    ):
        image = to_canonical(images[number_of[name]], canonical)
        pictures.append(protocol.blurred(image[None], [name], condition, canonical)[0])
        titles.append(f"{images.classes[int(group['parameter'].iloc[0])]}, {condition}")
        verdicts.append(said(name, condition))
    page.photograph(
        figures.verdicts(pictures, titles, verdicts),
        caption=f"Verdicts of three networks on blurred test images. {ATTRIBUTION}",
        alt="Blurred pictures of drawn objects, each above the verdicts of three networks. "
        + in_sentences(titles, verdicts),
    )
else:
    page.say(f"The test images of {main_set} are not ours to show.")

# %% [markdown]
# On real photographs, by the network that comes with blurpaper (`efficientnet_lite0:mix/agreement`, tuned without labels), beside the
# original:

# %% tags=["hide-input"]
from blurpaper.data.examples import EXAMPLES, photograph
from blurpaper.runs import profile as profiles

photos = profiles.load("photos")
pictures, titles, verdicts = [], [], []
for example in EXAMPLES:
    clear = to_canonical(photograph(example), photos.protocol.canonical)[None]
    for condition in experiments.FIGURE3_CONDITIONS:
        place = f"scikit-image/{example.name}"
        pictures.append(protocol.blurred(clear, [place], condition, photos.protocol.canonical)[0])
        titles.append(f"{example.name}, {condition}")
        verdicts.append(said(place, condition))
page.photograph(
    figures.verdicts(pictures, titles, verdicts, columns=5),
    caption="Verdicts of EfficientNet-Lite0 on scikit-image's photographs. "
    + " ".join(f"{example.name}: {example.source}." for example in EXAMPLES),
    alt="Blurred photographs, each above the verdicts of two networks. "
    + in_sentences(titles, verdicts),
)

# %% [markdown]
# ## Claims decided here

# %% tags=["remove-input"]
page.claims("table2", "table3")
