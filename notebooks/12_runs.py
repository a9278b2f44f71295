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
# # Where the numbers come from
#
# The caption of every figure and table leads here: its sources to the runs that made their numbers, its end to the run that the book is of.
# What a run computed, it kept as *artifacts*: trained networks, their predictions for each test set and condition, and so on. Each was
# stamped when it was made with the commit of the code, the fingerprint of the data, the versions, the device and the seconds it took.
# Below, the artifacts of a run are folded away by kind; their names say of which network and mix, on which images, and under which
# condition. Digits are cut short; pointing at them shows the rest.
#
# The committed results were computed at the commits listed below, before the code was laid out anew: they are older than this code, which
# gives the same numbers wherever it was tried, and will be computed once more from one commit.

# %% tags=["parameters", "remove-cell"]
profile = "emoji"
overrides = {}
published = False

# %% tags=["remove-cell"]
from IPython.display import HTML, display

from blurpaper.book import tables
from blurpaper.book.page import Page
from blurpaper.experiments.sources import ours

page = Page(profile, overrides, published)

# %% [markdown]
# (run-this)=
# ## This run

# %% tags=["remove-input"]
if published:
    page.say(
        f"This book was drawn from committed results: {page.run}. Listed is what they were made from."
    )
else:
    page.say(
        f"This book was drawn by {page.run}, from the store. Listed is what the store keeps for the profile `{page.profile.name}`: of each "
        "artifact the one made last, with whatever it was made from. An artifact that another profile made first, and this one "
        "only loaded, is listed if something here was made from it."
    )
display(HTML(tables.provenance(page.source, page.overrides)))

# %% [markdown]
# (run-photos)=
# ## Photographs

# %% tags=["remove-input"]
if page.profile.name == "photos":
    page.say("This run is the one on photographs.")
else:
    page.say(
        "The numbers on photographs were committed with the code. Listed is what they were made from."
    )
    display(HTML(tables.provenance(ours(page.source)[0])))

# %% [markdown]
# (run-paper)=
# ## The paper
#
# The paper's numbers are taken from its tables; nothing of them was computed here but the binomial intervals of its accuracies.

# %% tags=["remove-input"]
display(HTML(tables.paper()))
