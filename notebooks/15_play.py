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
# # Play with it
#
# Blur a photograph and see what two networks make of it: `original`, EfficientNet-Lite0 as it was trained on sharp images of ImageNet, and
# `mix`, the same after fine-tuning on blurred images without labels.

# %% tags=["parameters", "remove-cell"]
profile = "emoji"
overrides = {}
published = False

# %% tags=["remove-cell"]
from IPython.display import HTML, display

from blurpaper.page import Page
from blurpaper.play import show
from blurpaper.store import Store

page = Page(profile, overrides, published)
played = show.found(Store())
last, names = played["stages"][-1], played["networks"]

# %% [markdown]
# ## Drag the slider
#
# Sizes are in pixels of an image whose smaller side is 384, as everywhere in this book. The picture is the one that the networks are given: at
# that scale, blurred, rounded to 8 bits, and then resized to 256.

# %% tags=["remove-input"]
display(HTML(show.html(played)))

# %% [markdown]
# ## What to look for
#
# The bars are what a network believes, the entropy how widely its belief is spread: a network that is lost should be unsure. A tick marks a
# right answer. The last table looks inside: a feature is on or off at each place, and blur switches some of them; compare the two networks
# after the last stage.

# %% tags=["remove-input"]
pictures = played["photographs"]


def mean(condition, name, number):
    """A number of a network under a condition, averaged over the photographs."""
    return sum(number(one["seen"][condition]["networks"][name]) for one in pictures.values()) / len(pictures)


lines = [
    f"- `{name}`: from sharp to `D8` the entropy goes from {mean('sharp', name, lambda one: one['entropy']):.2f} to "
    f"{mean('D8', name, lambda one: one['entropy']):.2f} nats; under `D8` the features after {last} differ in "
    f"{100 * mean('D8', name, lambda one: one['distances'][-1]):.0f} % from those of the sharp photograph."
    for name in names
]
page.say(f"Averaged over the {len(pictures)} photographs:\n\n" + "\n".join(lines))

# %% [markdown]
# A few photographs prove nothing; they were chosen because they may be shown, not for what comes out. What holds of thousands is in the
# chapters: [accuracy and entropy](02_pretrained), [fine-tuning](03_finetuning), [the features](05_invariance).
#
# ## An image of your own

# %% tags=["remove-input"]
display(
    HTML(
        show.own(
            "This copy of the book came without the networks, which are most of its size. "
            "<code>blurpaper run --with-browser-model</code> puts them in; they then run in the browser, and no image leaves it."
        )
    )
)
