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
# Blur a picture and see what two networks make of it: `original`, as it was trained on sharp images, and `mix`, the same after fine-tuning
# on blurred ones. Photographs are shown to EfficientNet-Lite0 of ImageNet (fine-tuned without labels), drawings to the small network that the
# embedded run trains from scratch (fine-tuned with labels).

# %% tags=["parameters", "remove-cell"]
profile = "emoji"
overrides = {}
published = False

# %% tags=["remove-cell"]
from IPython.display import HTML, display

from blurpaper.book import slider
from blurpaper.book.page import Page
from blurpaper.runs.store import Store

page = Page(profile, overrides, published)
photographs, drawings = slider.on_photographs(Store()), slider.on_embedded(page.source)
last, names = photographs["stages"][-1], photographs["networks"]

# %% [markdown]
# ## Drag the slider
#
# Sizes are in pixels of an image whose smaller side is 384, as everywhere in this book. The picture is the one that the networks are given: at
# that scale, blurred, rounded to 8 bits, and then resized to 256.

# %% tags=["remove-input"]
display(HTML(slider.html(slider.together(photographs, drawings))))

# %% [markdown]
# ## What to look for
#
# The bars are what a network believes, the entropy how widely its belief is spread: a network that is lost should be unsure. A tick marks a
# right answer. The last table looks inside: a feature is on or off at each place, and blur switches some of them; compare the two networks
# after the last stage.

# %% tags=["remove-input"]
for what, played in {"photographs": photographs, "drawings": drawings}.items():
    if played:
        lines = [
            f"- `{name}`: from sharp to `D8` the entropy goes from {slider.mean(played, name, 'sharp', 'entropy'):.2f} to "
            f"{slider.mean(played, name, 'D8', 'entropy'):.2f} nats; under `D8` the features after {last} differ in "
            f"{100 * slider.mean(played, name, 'D8', 'distances'):.0f} % from those of the sharp picture."
            for name in names
        ]
        page.say(f"Averaged over the {len(played['photographs'])} {what}:\n\n" + "\n".join(lines))

# %% [markdown]
# A few pictures prove nothing. The photographs were chosen because they may be shown, the drawings by their number among the test images, and
# neither for what comes out. What holds of thousands is in the chapters: [accuracy and entropy](02_pretrained), [fine-tuning](03_finetuning), [the features](05_invariance).
