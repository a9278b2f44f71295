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
# # What is ours and what is the paper's
#
# The copy of the paper that this project worked from had lost some numbers, and some things the paper never says. Each of
# these is a choice of this project.

# %% tags=["parameters", "remove-cell"]
profile = "emoji"
overrides = {}
published = False

# %% tags=["remove-cell"]
from blurpaper import deblurring
from blurpaper.book.page import Page, percent, with_interval
from blurpaper.data.catalogue import CATALOGUE
from blurpaper.evaluation import results
from blurpaper.experiments.sources import Paper
from blurpaper.kernels import MIXES
from blurpaper.networks import build
from blurpaper.runs import profile as profiles

page = Page(profile, overrides, published)
paper = profiles.load("imagenet")
schedule = paper.finetuning
rates = ", ".join(
    f"{phase.rate:g} for {phase.epochs} epoch{'s' if phase.epochs > 1 else ''}"
    for phase in schedule.phases
)
both = results.select(Paper().rows("table1"), scale="256+512", condition="D8")["value"].item()

# %% tags=["remove-input"]
page.say(f"""
| left open | taken here | why |
|---|---|---|
| learning rates and momentum | {rates}, momentum {schedule.momentum:g} (profile `imagenet`) | usual for fine-tuning VGG-16 |
| the two Gaussians of Table 1 | standard deviations 4 and 8 | a disk of radius 8 has standard deviation 4 along each axis, and the first Gaussian's numbers lie beside those of D8 |
| grid of the control points of camera shake, size of its kernels | 16 × 16, arrays of 31 × 31 | the mean radius then lies between those of D6 and D8, as the paper's accuracy does |
| field of the network | {paper.protocol.field} pixels | VGG-16's own crop |
| border of the blur | whole-sample mirror | usual; no frame betrays the blur |
| resizing | bicubic, with antialiasing | usual |
| cut of a Gaussian | four standard deviations | usual |
| rounding before the blur, and of the network's input | yes; no | one rounding of the photograph and one of the blurred image, as the paper says |
| weight decay, dropout, flips, crops | {schedule.weight_decay:g}, the model's own, {"yes" if schedule.flip else "no"}, {paper.protocol.field} | the training of VGG-16 |
| shares in the mixes of sharp with one blur | {"; ".join(f"`{name}` {shares['sharp']:g} sharp" for name, shares in MIXES.items() if 0 < shares.get("sharp", 0) < 1 and len(shares) == 2)} | half and half with a disk; camera shake, being a hundred kernels, has the share that blur has in the mix of five |
| average for 256+512 | over positions within a scale, then over scales | a mean over all positions would let 512 dominate; the paper's {percent(both)} at D8 fits |
| heads of the columns of Table A | 256 and 256+512 | read from its text |
| the second model, printed as one of fifty-one layers | ResNet-50, five crops | the accuracy fits |
| image that EPLL restores | the mean of the three channels, once; the differences of colours by a penalty on their gradients | in the mean the rounding errors of three channels average out; chapter 06 compares |
| noise that EPLL reckons with | that of rounding, {deblurring.ROUNDING:.2f} grey levels; in three channels' mean, less by the root of three | it is what there is; chapter 06 tries others |
| photographs its prior is learnt from | {", ".join(f"{one.deblurring.prior.images} (`{one.name}`)" for one in map(profiles.load, ("emoji", "photos")))} | the original mixture is not to be had |
| border in deblurring | the mirror of the blur | it is the true one |
| rates of segmentation's passes | {", ".join(f"{phase.rate:g} × {phase.epochs}" for phase in paper.segmentation.finetuning.phases)} for the network below, {paper.segmentation.head_lr_scale:g} times as much for the perceptron, AdamW (profile `imagenet`) | lost; six passes and two, as in the paper |
| levels that Zoomout looks at | the five stages, each standardised, and the mean of the last | the paper's segmentation network looks at more layers; these are what all our models share |
| scene that the segmentation network is given | of the canonical scale, in its own proportions | the paper distorts it to fit its network |
| near a boundary | a pixel of another label within {paper.segmentation.boundary_distance:g} pixels, centre to centre, in the label map's own pixels; void counts as a label and is never scored | "within four pixels" is all the paper says |
| place of the zeros at scale 128 | around the map, the odd one at the right and below | the paper says only that it is padded |
""")

# %% [markdown]
# ## What is the same and what differs
#
# The same everywhere: the kernels, the twelve conditions, the order of scaling, blur, rounding and network, the scale settings, the
# mixes, the averages over positions and scales, and the code. What differs:

# %% tags=["remove-input"]
ours = {name: profiles.load(name) for name in ("imagenet", "photos", "emoji")}


def line(what, paper, of):
    return f"| {what} | {paper} | " + " | ".join(str(of(one)) for one in ours.values()) + " |"


def rate(one):
    return ", ".join(f"{p.rate:g} × {p.epochs}" for p in one.finetuning.phases)


counts = {name: source.counts for name, source in CATALOGUE.items()}
labelled = {
    "emoji": f"{ours['emoji'].emoji.train:,} drawn images",
    "photos": f"{counts['imagenet-sample']['train']:,} of ImageNet's, one a class",
    "imagenet": f"{counts['imagenet']['train']:,}",
}
table3 = page.photographs("table3")
tests = {} if table3 is None else results.select(table3, seed="0").groupby("data")["n"].max()
on_photos = [
    f"{name}, {tests[name]}" if name in tests else name
    for name in ours["photos"].evaluation.test_sets
]
tested = {
    "emoji": f"{ours['emoji'].emoji.test:,} drawn images",
    "photos": "; ".join(on_photos),
    "imagenet": f"{counts['imagenet']['test']:,}",
}
page.say(
    "\n".join(
        [
            "| | paper | " + " | ".join(f"`{name}`" for name in ours) + " |",
            "|---|---|---|---|---|",
            line("model", "VGG-16", lambda one: one.model),
            line("second model", "ResNet", lambda one: one.evaluation.second_model),
            line(
                "weights at the start",
                "ImageNet",
                lambda one: "trained here" if one.pretraining else "ImageNet",
            ),
            line(
                "classes",
                "1,000",
                lambda one: one.emoji.classes if one.train_set == "emoji" else "1,000",
            ),
            line("fine-tuned on", labelled["imagenet"], lambda one: labelled[one.name]),
            line("passes × rate", "three, rates lost", rate),
            line("tested on", tested["imagenet"], lambda one: tested[one.name]),
            line("canonical scale, pixels", "384", lambda one: one.protocol.canonical),
            line(
                "network scales, pixels",
                "128, 256, 512",
                lambda one: ", ".join(map(str, one.protocol.scales.values())),
            ),
            line(
                "batch normalisation",
                "none",
                lambda one: (
                    "frozen" if one.finetuning.freeze_batch_norm else "trained, if the model has it"
                ),
            ),
            line(
                "scenes with label maps",
                "VOC 2012; COCO too for the original",
                lambda one: one.segmentation.data,
            ),
            line(
                "run here",
                "",
                lambda one: (
                    "no: complete, tested on stand-ins" if one.name == "imagenet" else "yes"
                ),
            ),
        ]
    )
)

# %% [markdown]
# ## Fewer bits
#
# Networks are evaluated in bfloat16 where the hardware has it. What that changes, image by image:

# %% tags=["remove-input"]
for name, rows in page.ours("precision").items():
    change = results.select(rows, metric="top5_vs_float32").set_index("condition")
    page.say(
        f"*{name}*, {rows['model'].iloc[0]} at scale 256: top-5 accuracy differs from that in float32 by "
        f"{with_interval(change.loc['sharp'], unit=' points')} on sharp images and by "
        f"{with_interval(change.loc['D8'], unit=' points')} under `D8`."
    )

# %% [markdown]
# ## The embedded data is not ImageNet

# %% tags=["remove-input"]
emoji = profiles.load("emoji")
small, large = (
    sum(
        weight.numel()
        for weight in build(one.model, range(classes), one.protocol.field).parameters()
    )
    for one, classes in ((emoji, emoji.emoji.classes), (paper, 1000))
)
pixels = emoji.protocol.scales
page.say(
    f"The profile `emoji` draws the canonical 384 as {emoji.protocol.canonical} pixels, and 128, 256 and 512 as {pixels['128']}, "
    f"{pixels['256']} and {pixels['512']}, with a field of {emoji.protocol.field}. Kernels shrink in proportion. Its network is a VGG with "
    f"the same five pooling stages, {small / 1e6:.1f} million parameters instead of {large / 1e6:.0f}, and batch normalisation; it "
    f"learns from scratch at scales {emoji.pretraining.train_scale}, on {emoji.emoji.train:,} drawn images. It shows the paper's "
    f"effects, not its numbers. At scale 256 the field covers {percent((emoji.protocol.field / pixels['256']) ** 2, 0)} of the image, "
    "so that one position does all the work; and at scale 128 the last map has one position where the classifier wants four, so "
    "that three quarters of its input are zeros, where VGG-16 has two thirds."
)

# %% [markdown]
# ## Photographs
#
# The networks of the profile `photos` end in global average pooling. To apply them at every position, as the paper does
# VGG-16, the average is taken over windows of the size of the last map in training, at stride 1, and the classifier applied to
# each. Photographs whose smaller side is below the canonical scale are enlarged to it.
