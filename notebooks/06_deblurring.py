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
# # Deblurring first
#
# If the blur is known, why not undo it, and let the network that was trained on sharp images look at the result? The paper's
# Section 4.4 gives that idea its best chance: the true PSF, no noise but the rounding to 8 bits, and EPLL {cite}`zoran2011`, one of the best
# methods of its time, at four minutes an image on a GPU. Fine-tuning on the mix, which does not know the blur, did as well.
#
# We shall rebuild EPLL, exactly and in a fast form, put simpler methods beside it, and look at what the best case hides: the
# noise that has to be reckoned with, and a PSF that is not quite the true one.

# %% tags=["parameters", "remove-cell"]
profile = "emoji"
overrides = {}
published = False

# %% tags=["remove-cell"]
from blurpaper import blur, data, deblurring
from blurpaper.book import figures
from blurpaper.book.page import Page, percent, with_interval
from blurpaper.book.tables import comparison, rounded
from blurpaper.data.catalogue import CATALOGUE
from blurpaper.data.emoji import ATTRIBUTION
from blurpaper.data.examples import EXAMPLES, photograph
from blurpaper.data.images import to_canonical
from blurpaper.deblurring import splitting
from blurpaper.evaluation import metrics, results
from blurpaper.experiments.sources import PAPER, Paper
from blurpaper.kernels import CANONICAL, PSF, psf
from blurpaper.runs import Run
from blurpaper.runs import profile as profiles
from blurpaper.runs.store import Store

page = Page(profile, overrides, published)
settings = page.profile
known = settings.deblurring.psf
main_set = settings.evaluation.test_sets[0]

# %% [markdown]
# ## How it is done
#
# EPLL looks for the image whose $8 \times 8$ patches are all likely, and which blurred gives what was observed. What is likely
# is said by a mixture of Gaussians, learnt from the patches of sharp photographs. The search alternates: every patch is
# replaced by what its most likely Gaussian makes of it, and then the image is found that is nearest to all those patches and to the
# observation; from round to round the patches count for more.
#
# Three choices matter, and are ours. *The border:* our images are blurred as if they were mirrored at their borders. A symmetric
# PSF then acts on cosines, each by itself, so that the second step is one exact division and nothing rings at the border. Other PSFs,
# such as camera shake, need conjugate gradients.

# %% tags=["remove-input"]
colour = {
    name: frame.set_index("input").loc[["epll", "epll, each channel by itself"]]
    for name, frame in page.ours("deblurring_colour").items()
}
page.say(
    "*The colours:* only the mean of the three channels is restored by the method at hand; the two differences of colours, which hold little "
    "detail, are restored by a penalty on their gradients. In the mean the rounding errors of three channels average out, so that less noise "
    "has to be reckoned with. The method is then applied once and not three times, and gives "
    + " and ".join(
        f"{with_interval(frame.iloc[0], percents=False)} dB instead of {with_interval(frame.iloc[1], percents=False)} ({name})"
        for name, frame in colour.items()
    )
    + ". Every method below is given its colours in this way.\n\n"
    "*The speed:* the exact way looks at a patch around every pixel and at every Gaussian. The fast way, after Parameswaran and others "
    f"(2018), looks at patches {splitting.FAST_STRIDE} pixels apart, from another random offset in each round; finds a Gaussian by way of the group "
    f"it belongs to; and keeps only the {splitting.RANK} largest variances of each apart while it searches."
)

# %% tags=["hide-input"]
rows = page.rows("prior").set_index("model")
mixture, single = (row for _, row in rows.iterrows())
page.say(
    f"The mixture of this run has {settings.deblurring.prior.components} components and was learnt from "
    f"{settings.deblurring.prior.patches:,} patches of {settings.deblurring.prior.images}. A patch that it has not seen has a "
    f"log-likelihood of {with_interval(mixture, percents=False)} nats under it, and of "
    f"{with_interval(single, percents=False)} under a single Gaussian."
)

# %% [markdown]
# ## One image, all methods


# %% tags=["hide-input"]
def show(image, scale, source, what):
    """One image sharp, blurred and restored by every method, with the prior that comes with blurpaper."""
    kernel = psf(known, scale)
    seen = blur.apply(image, kernel)
    shown = {"sharp": image, known: seen} | {
        name: deblurring.restore(seen, kernel, name, deblurring.ROUNDING, border="mirror")
        for name in deblurring.METHODS
    }
    numbers = {
        name: (metrics.psnr(one, image), metrics.ssim(one, image))
        for name, one in shown.items()
        if name != "sharp"
    }
    titles = [
        name
        if name not in numbers
        else f"{name}\n{numbers[name][0]:.1f} dB, {numbers[name][1]:.3f}"
        for name in shown
    ]
    page.photograph(
        figures.gallery(list(shown.values()), titles, columns=4),
        caption=f"{what}, under {known} and restored with the true PSF (EPLL with the prior that comes along); PSNR and structural similarity "
        f"to the sharp image. {source}",
        alt=f"{what} in {len(shown)} versions. "
        + "; ".join(
            f"{name}: {one:.1f} dB, similarity {two:.3f}" for name, (one, two) in numbers.items()
        )
        + ".",
    )


example = EXAMPLES[0]
canonical = profiles.load("photos").protocol.canonical
picture = to_canonical(photograph(example), canonical)
middle = [(side - 192) // 2 for side in picture.shape[1:]]
whole = f"A photograph of {example.what}, the middle of it"
show(
    picture[:, middle[0] : middle[0] + 192, middle[1] : middle[1] + 192],
    canonical / CANONICAL,
    f"Photograph: {example.source}.",
    whole,
)

# %% tags=["hide-input"]
if main_set == "emoji" and not published:
    images = data.load_images("emoji", "test", Run(settings, Store()))
    drawn = to_canonical(images[0], settings.protocol.canonical)
    show(
        drawn,
        settings.protocol.canonical / CANONICAL,
        ATTRIBUTION,
        f"A drawn {images.classes[images.labels[0]]}",
    )

# %% [markdown]
# (table5)=
# ## Recognition after deblurring (Table 5)

# %% tags=["hide-input"]
WAYS = {"original": "", "mix": "mix", "mix/agreement": "mix without labels", "onlyD8": "onlyD8"}


def named(frame):
    """With a column that says what was classified, and by which network."""
    network = frame["network"] + frame["recipe"].map({"agreement": "/agreement"}).fillna("")
    done = [
        (condition if treatment == "as is" else f"{condition}, {treatment}")
        + (f", {WAYS.get(one, one)}" if one != "original" else "")
        for one, treatment, condition in zip(network, frame["input"], frame["condition"])
    ]
    return frame.assign(shown=done)


sources = {name: named(frame) for name, frame in page.sources("table5").items()}
ways = list(dict.fromkeys(way for frame in reversed(sources.values()) for way in frame["shown"]))
page.table(
    comparison(sources, {"top5": "top-5", "top1": "top-1"}, ways, ["256"], row="shown"),
    f"Accuracy in per cent at scale 256: the original network on sharp, blurred ({known}) and deblurred images, and fine-tuned networks on the "
    "blurred ones, with 95 % intervals (Table 5; the paper has EPLL alone, and top-5).",
    sources,
)

# %% tags=["hide-input"]
ours = {name: frame for name, frame in sources.items() if name != PAPER}
seconds = page.seconds()
treated = [
    way
    for way in ways
    if way.startswith(known) and way.removeprefix(f"{known}, ") in deblurring.METHODS
]
page.table(
    comparison(
        ours,
        {"psnr": "PSNR, dB", "ssim": "similarity", "top5_recovered": "share of the top-5 loss, %"},
        [known, *treated],
        ["256"],
        row="shown",
    ),
    "How near the restored images are to the sharp ones (PSNR over the three channels, structural similarity of their mean), and the share of "
    "what the blur costs in top-5 accuracy that each method brings back.",
    ours,
)
page.figure(
    figures.accuracy_against_seconds(
        {name: ours[name] for name in seconds if name in ours}, seconds, known
    ),
    caption="Top-1 accuracy of the original network on deblurred images against the seconds that deblurring one takes where it was run; lines: "
    "on sharp and blurred images, and (dashed) of fine-tuned networks on the blurred ones, which cost nothing more.",
    alt="Points of accuracy against seconds; "
    + "; ".join(
        f"{name}: " + ", ".join(f"{method} {spent:.3g} s" for method, spent in by_method.items())
        for name, by_method in seconds.items()
    )
    + ".",
    sources=[name for name in seconds if name in ours],
)

# %% tags=["remove-input"]
lines = []
for name, frame in ours.items():
    of = frame.set_index(["shown", "metric"])
    if (f"{known}, epll", "top5_recovered") not in of.index:
        continue
    share = of.loc[(f"{known}, epll", "top5_recovered")]
    took = f", at {seconds[name]['epll']:.2g} seconds an image" if name in seconds else ""
    lines.append(
        f"- *{name}*: EPLL brings back {with_interval(share)} of the loss of top-5 accuracy{took}."
    )
    gaps = {
        way: of.loc[(way, "top5_vs_epll")]
        for way in ways
        if (way, "top5_vs_epll") in of.index and way != known
    }
    for way, gap in gaps.items():
        told = (
            "better"
            if gap["low"] > 0
            else "worse"
            if gap["high"] < 0
            else "not to be told apart from it on these images"
        )
        lines.append(
            f"    - {way}: {with_interval(100 * gap, percents=False)} points of top-5 from EPLL, image by image: {told}."
        )
page.say("\n".join(lines))

# %% [markdown]
# ## A camera's frame
#
# The images above were mirrored at their borders before they were blurred, so that nothing is unknown. A camera's frame is cut from a
# scene that goes on around it. Here images are blurred at a larger field and then cut, without noise and with noise of two grey levels;
# sharp ones are cut likewise.

# %% tags=["hide-input"]
framed = {name: named(frame) for name, frame in page.sources("table5_camera").items()}
if framed:
    seen = list(dict.fromkeys(way for frame in framed.values() for way in frame["shown"]))
    page.table(
        comparison(
            framed,
            {"top5": "top-5", "top5_recovered": "share of the top-5 loss, %", "psnr": "PSNR, dB"},
            seen,
            ["256"],
            row="shown",
        ),
        f"Accuracy in per cent at scale 256 in a camera's frame under {known}, and the share of the loss that comes back.",
        framed,
    )
else:
    page.say("Not yet published.")

# %% [markdown]
# ## Photographs that a camera shook
#
# Levin and others (2009) photographed pictures with a camera that moved, and measured the kernels. PSNR is taken after alignment to a
# quarter of a pixel.

# %% tags=["hide-input"]
shaken = {
    name: results.select(frame, item="") for name, frame in page.ours("deblurring_shaken").items()
}
if shaken:
    ways = list(dict.fromkeys(way for frame in shaken.values() for way in frame["input"]))
    page.table(
        comparison(shaken, {"psnr": "PSNR, dB"}, ways, [""], row="input"),
        "Photographs shaken in earnest, as they are and deblurred with the measured kernels, with 95 % intervals over images.",
        shaken,
    )
else:
    page.say("Not yet published.")

# %% tags=["remove-input"]
paper = results.select(Paper().rows("table5"), condition="D8").set_index(["network", "input"])
tuned, done = paper.loc[("mix", "as is")], paper.loc[("original", "epll")]
gap = 100 * (tuned["value"] - done["value"])
page.say(
    f"In the paper fine-tuning on the mix leads by {rounded(gap, 2)} points, {with_interval(tuned)} against {with_interval(done)} on "
    f"{int(tuned['n']):,} images: within the noise of its test set, so that *as well as* is borne out and *better* is not. And it was "
    f"fine-tuned on {CATALOGUE['imagenet'].counts['train'] / 1e6:.1f} million photographs with labels; the lines above say what is left of the "
    "comparison with fewer, or without labels."
)

# %% [markdown]
# ## The fast way and the exact one

# %% tags=["remove-input"]
lines = []
for name, frame in page.ours("deblurring_exact").items():
    for set_name, part in frame.groupby("data", sort=False):
        of = part.set_index(["input", "metric"])
        lost, n = of.loc[("epll", "psnr_vs_epll-exact")], int(of.loc[("epll", "psnr"), "n"])
        lines.append(
            f"- *{name}*, {n} images of {set_name}: exactly {with_interval(of.loc[('epll-exact', 'psnr')], percents=False)} dB; the fast way "
            f"differs by {with_interval(lost, percents=False)} dB, and in top-1 accuracy by "
            f"{with_interval(of.loc[('epll', 'top1_vs_epll-exact')], unit=' points')}."
        )
    if name in seconds:
        lines.append(
            f"    - On the first of these sets an image takes {seconds[name]['epll-exact']:.2g} seconds exactly and {seconds[name]['epll']:.2g} "
            f"the fast way: {seconds[name]['epll-exact'] / seconds[name]['epll']:.0f} times less."
        )
page.say("\n".join(lines))

# %% [markdown]
# ## Which noise to reckon with
#
# An exact PSF and no noise would leave little to a prior. What noise there is comes from rounding to 8 bits, whose
# standard deviation is $1/\sqrt{12}$ of a grey level, and that is what we reckon with. To reckon with more is to throw detail away;
# with less, to magnify the rounding. The paper does not say what it reckoned with.

# %% tags=["hide-input"]
by_noise = page.ours("deblurring_noise")
noise = {name: results.select(frame, metric="psnr") for name, frame in by_noise.items()}
page.figure(
    figures.psnr_by_noise(noise),
    caption="PSNR of EPLL against the noise it reckons with, with 95 % intervals over images; dotted, the noise of rounding.",
    alt="; ".join(
        f"{name}: "
        + ", ".join(
            f"{value:.1f} dB at {level}"
            for level, value in frame.set_index("parameter")["value"].items()
        )
        for name, frame in noise.items()
    )
    + ".",
    sources=noise,
)

# %% tags=["remove-input"]
lines = []
for name, frame in by_noise.items():
    best = noise[name].sort_values("value").iloc[-1]
    top1 = results.select(frame, metric="top1").set_index("parameter")
    least, most = min(top1.index, key=float), max(top1.index, key=float)
    lines.append(
        f"- *{name}*: best at {best['parameter']} grey levels, {with_interval(best, percents=False)} dB. "
        f"Top-1 accuracy is {with_interval(top1.loc[best['parameter']])} there, {with_interval(top1.loc[least])} at {least} and "
        f"{with_interval(top1.loc[most])} at {most}."
    )
page.say("\n".join(lines))

# %% [markdown]
# ## A PSF that is not the true one
#
# The paper's comparison gives deblurring the true PSF. In practice it is estimated. Suppose the radius of the disk is a little wrong.
# Reckoning with rounding alone takes every error of the PSF for detail to be brought out; one who does not trust the PSF reckons with
# more noise.

# %% tags=["hide-input"]
mistaken = page.ours("deblurring_psf")
page.figure(
    figures.mistaken_psf(mistaken, known),
    caption=f"Top-1 accuracy of the original network on images blurred with {known} and deblurred by EPLL with the PSF named below, with 95 % "
    f"intervals; dashed, on the blurred images as they are: the original and the network tuned on the mix, which is told nothing.",
    alt="; ".join(
        f"{name}: "
        + ", ".join(
            f"{treatment} {value:.2f}"
            for treatment, value in results.select(frame, metric="top1", network="original")
            .set_index("input")["value"]
            .items()
        )
        for name, frame in mistaken.items()
    )
    + ".",
    sources=mistaken,
)

# %% tags=["remove-input"]
lines = []
for name, frame in mistaken.items():
    top1 = results.select(frame, metric="top1")
    wrong = results.select(top1, network="original")
    wrong = wrong[(wrong["parameter"] != "") & (wrong["parameter"] != known)]
    blurred = results.select(top1, network="original", parameter="")["value"].iloc[0]
    tuned = results.select(top1, network="mix", recipe="labels", parameter="")["value"]
    lines.append(
        f"- *{name}*: {percent(blurred)} without deblurring"
        + (f", {percent(tuned.iloc[0])} by the network tuned on the mix" if len(tuned) else "")
        + "; told a wrong PSF,"
    )
    for level, part in wrong.groupby(wrong["input"].str.partition("noise ")[2], sort=False):
        told = f"noise of {level} grey levels" if level else "rounding alone"
        values = part.set_index("parameter")["value"]
        lines.append(
            f"    - reckoning with {told}: "
            + ", ".join(f"{percent(values[one])} as {one}" for one in values.index)
            + "."
        )
page.say("\n".join(lines))

# %% [markdown]
# ## What is left of the paper's conclusion
#
# That a network can be made to see through blur as well as deblurring undoes it, at no cost an image and without being told the blur:

# %% tags=["remove-input"]
lines = []
for name, frame in mistaken.items():
    top1 = named(results.select(frame, metric="top1"))
    wrong = results.select(top1, network="original")
    wrong = wrong[(wrong["parameter"] != "") & (wrong["parameter"] != known)]
    errors = {one: abs(PSF.parse(one).size - PSF.parse(known).size) for one in wrong["parameter"]}
    near = [one for one in errors if errors[one] == min(errors.values())]
    reached = [results.select(wrong, parameter=one)["value"].max() for one in near]
    instead = top1[top1["network"] != "original"].set_index("shown")["value"]
    best = ours[name].set_index(["shown", "metric"])
    gaps = {
        way: best.loc[(way, "top1_vs_epll")]
        for way in instead.index
        if (way, "top1_vs_epll") in best.index
    }
    ahead = [way.removeprefix(f"{known}, ") for way, gap in gaps.items() if gap["low"] > 0]
    behind = [way.removeprefix(f"{known}, ") for way, gap in gaps.items() if gap["high"] < 0]
    even = [
        way.removeprefix(f"{known}, ")
        for way in gaps
        if way.removeprefix(f"{known}, ") not in ahead + behind
    ]
    told = [
        f"{words} {', '.join(ways)}"
        for words, ways in (
            ("ahead of that of the networks tuned on", behind),
            ("level, as far as these images tell, with that of", even),
            ("behind that of", ahead),
        )
        if ways
    ]
    lines.append(
        f"- *{name}*: told the true PSF, EPLL brings the original network's accuracy (top-1) {'; '.join(told)}. Told another, and reckoning "
        "with whichever of the noises above serves best, it brings it to "
        + " and ".join(f"{percent(value)} (told {one})" for one, value in zip(near, reached))
        + " on the images of the last figure, where the networks tuned on blur have "
        + ", ".join(
            f"{percent(value)} ({way.removeprefix(f'{known}, ')})" for way, value in instead.items()
        )
        + "."
    )
page.say("\n".join(lines))

# %% [markdown]
# Deblurring owes its place to what it is told. Networks tuned on the mix are told nothing.
#
# To deblur images of one's own, where the blur is known:
#
# ```sh
# blurpaper deblur blurred.png restored.png --psf D8            # EPLL, the fast way; --method epll-exact for the other
# ```

# %% [markdown]
# ## Claims decided here

# %% tags=["remove-input"]
page.claims("table5")
