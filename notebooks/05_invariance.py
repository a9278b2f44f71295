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
# # Invariance of the features
#
# How does a fine-tuned network manage: does it see the same features in the blurred image as in the sharp one, and from which
# layer on? The paper's Section 4.3 makes each feature map binary (positive or not) after each of the five pooling stages, and
# looks at the Hamming distance between the maps of one image, sharp and under `D8`.
#
# It shows one image. We shall see one too, and then, beyond the paper, the average over the whole test set with its interval,
# for every degree of defocus and for shake, with the distance between *different* images for comparison.

# %% tags=["parameters", "remove-cell"]
profile = "emoji"
overrides = {}
published = False

# %% tags=["remove-cell"]
from dataclasses import replace

import torch

from blurpaper import data
from blurpaper.book import figures
from blurpaper.book.page import RUN, Page, percent, with_interval
from blurpaper.data.emoji import ATTRIBUTION
from blurpaper.data.examples import EXAMPLES, photograph
from blurpaper.data.images import to_canonical
from blurpaper.evaluation import invariance, protocol, results
from blurpaper.networks import STAGES, NetworkSpec
from blurpaper.networks.weights import bundled
from blurpaper.runs import Run
from blurpaper.runs import profile as profiles
from blurpaper.runs.store import Store
from blurpaper.training import networks as trained

page = Page(profile, overrides, published)
settings = page.profile
main_set = settings.evaluation.test_sets[0]

# %% [markdown]
# (figure4)=
# ## One image (Figure 4)


# %% tags=["hide-input"]
def show_maps(image, name, what, settings, networks, source):
    """An image sharp and blurred, and the distance between the two at each position of each stage of each network."""
    sharp = to_canonical(image, settings.protocol.canonical)[None]
    seen = protocol.blurred(sharp, [name], "D8", settings.protocol.canonical)
    inputs = [
        protocol.network_input(one, settings.protocol.pixels("256"), settings.protocol.canonical)
        for one in (sharp, seen)
    ]
    maps = {}
    for label, spec in networks.items():
        network = trained.reference(spec, Run(settings, Store())).load()
        with torch.inference_mode():
            maps[label] = {
                stage: found[0]
                for stage, found in invariance.hamming_maps(network, *inputs).items()
            }
    page.photograph(
        figures.gallery([sharp[0], seen[0]], ["sharp", "D8"], columns=2),
        caption=f"The image whose features are compared, seen by {settings.model}. {source}",
        alt=f"{what}: sharp, and beside it blurred, as the networks are shown it.",
    )
    page.photograph(
        figures.distance_maps(maps),
        caption="Hamming distance between the binarised features of the two images, at each position of each stage (Fig. 4).",
        alt="Heat maps, a row for each network and a column for each stage; "
        + "; ".join(
            f"{label}: " + ", ".join(f"{stage} {float(m.mean()):.2f}" for stage, m in found.items())
            for label, found in maps.items()
        )
        + ".",
    )


if main_set == "emoji" and not published:
    images = data.load_images("emoji", "test", Run(settings, Store()))
    what = f"A drawn {images.classes[images.labels[0]]}"
    networks = {
        mix: NetworkSpec.parse(f"{settings.model}:{mix}")
        for mix in settings.evaluation.invariance_networks
    }
    show_maps(images[0], images.ids[0], what, settings, networks, ATTRIBUTION)
else:
    page.say(
        "The maps of a test image need the networks and an image that may be shown; a photograph follows."
    )

# %% [markdown]
# And a photograph, before and after fine-tuning without labels:

# %% tags=["hide-input"]
photos, example = profiles.load("photos"), EXAMPLES[0]
original = NetworkSpec(photos.model)
networks = {"original": original, "mix": bundled(replace(original, mix="mix", recipe="agreement"))}
networks = {label: spec for label, spec in networks.items() if spec}
source = f"Photograph: {example.source}."
show_maps(
    photograph(example),
    example.name,
    f"A photograph of {example.answers[0]}",
    photos,
    networks,
    source,
)

# %% [markdown]
# ## All test images
#
# Solid: the mean distance between an image sharp and under `D8`, after each stage. Dotted: the mean distance between two
# different sharp images, which is what no invariance at all would look like.


# %% tags=["hide-input"]
def with_recipes(rows):
    return rows.assign(
        network=rows["network"] + rows["recipe"].map({"agreement": "/agreement"}).fillna("")
    )


measured = page.sources("figure4")
sources = {name: with_recipes(frame) for name, frame in measured.items()}
rows = sources["this run"]
for name, frame in sources.items():
    page.figure(
        figures.distance_by_stage(frame, "D8", invariance.UNRELATED),
        caption=f"{name}: mean Hamming distance between features of an image sharp and under D8, and (dotted) of two different "
        "images.",
        alt="Lines of distance against pooling stage, one for each network; "
        + "; ".join(
            f"{network} after pool5 {value:.2f}"
            for network, value in results.select(frame, condition="D8", region="pool5")
            .set_index("network")["value"]
            .items()
        )
        + ".",
        sources=[name],
    )

# %% tags=["hide-input"]
from blurpaper.book.tables import comparison

page.table(
    "".join(
        f"<h4>{mix}</h4>"
        + comparison({"this run": results.select(rows, network=mix)}, {"hamming": "distance"},
                     [*settings.evaluation.invariance_conditions, invariance.UNRELATED], list(STAGES), column="region")
        for mix in settings.evaluation.invariance_networks
    ),
    "Mean share of channels that differ from the sharp image, after each stage, with 95 % intervals over test images.",
    {RUN: measured[RUN]},
)  # fmt: skip

# %% tags=["remove-input"]
found = rows.set_index(["network", "condition", "region"])
first, last = (
    {mix: found.loc[(mix, "D8", stage)] for mix in ("original", "mix")}
    for stage in (STAGES[0], STAGES[-1])
)
share = {
    mix: found["value"][mix, "D8", STAGES[-1]]
    / found["value"][mix, invariance.UNRELATED, STAGES[-1]]
    for mix in ("original", "mix")
}
page.say(
    f"In this run, after the last stage the distance under `D8` is {with_interval(last['original'], percents=False)} for the original and "
    f"{with_interval(last['mix'], percents=False)} for the mix; after the first, {with_interval(first['original'], percents=False)} and "
    f"{with_interval(first['mix'], percents=False)}. Measured against the distance between different images, the last stage keeps "
    f"{percent(share['original'], 0)} of it for the original and {percent(share['mix'], 0)} for the mix."
)

# %% tags=["remove-input"]
gain = {
    stage: 1 - found["value"]["mix", "D8", stage] / found["value"]["original", "D8", stage]
    for stage in STAGES
}
best = max(gain, key=gain.get)
page.say(
    "In this run fine-tuning changes the distance by "
    + ", ".join(f"{-100 * gain[stage]:+.0f} % at {stage}".replace("-", "−") for stage in STAGES)
    + f": most at {best}. The paper finds the fifth stage most invariant, the fourth less so, and the first ones as different as before."
)

# %% [markdown]
# ## Claims decided here

# %% tags=["remove-input"]
page.claims("figure4")
