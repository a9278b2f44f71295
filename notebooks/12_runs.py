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
# Every caption in this book links to this page. A run keeps what it computes as *artifacts*: trained networks, their predictions
# for each test set and condition, segmented scenes, deblurred images. Each artifact is stamped with the commit of the code, a
# fingerprint of its data, the versions of the libraries, the device and the time it took.
#
# The committed results are older than the present code: they were computed at the commits listed below, before its modules were
# rearranged. The present code gave the same numbers wherever both were compared; all will be computed again from one commit.

# %% tags=["parameters"]
profile = "emoji"
overrides = {}
published = False

# %%
from blurpaper.book.chapter import begin

run, show = begin(profile, overrides, published)
run

# %% [markdown]
# ## From a number to its images
#
# The decisions of every network are kept for each test image: the rank of the true class among its predictions, counted from zero. Any
# accuracy can therefore be computed again. These lines compute top-5 accuracy, the share of ranks below five, for the photographs under
# `D8`:

# %%
photographs = run.sources[run.roles["photographs"]]
decided = photographs.decisions(
    data=photographs.test_set,
    model=photographs.profile.model,
    network="original",
    condition="D8",
    scale="256",
    input="as is",
)
(decided["rank"] < 5).mean()

# %%
run.top5("original", "D8").iloc[0]

# %% [markdown]
# ## What took the time
#
# The artifacts behind the numbers on photographs, by kind:

# %%
import pandas as pd

stamps = pd.DataFrame(photographs.origin().stamps)
stamps.groupby("kind")["seconds"].agg(artifacts="count", seconds="sum").round()

# %% [markdown]
# (run-this)=
# ## This run
#
# The artifacts of a run are listed below by kind. A name gives the network and its mix, the images and the condition. Checksums are
# truncated; point at one to see it in full. For a computed run, the latest artifact of each name is listed, with whatever it was made from.

# %%
show.provenance("run")

# %% [markdown]
# (run-photos)=
# ## Photographs

# %%
show.provenance("photographs")

# %% [markdown]
# (run-paper)=
# ## The paper
#
# The paper's numbers were copied from its tables, with the digits printed there.

# %%
show.provenance("paper")

# %% [markdown]
# ## Re-run one chapter
#
# These lines execute a chapter in a checkout, here with the miniature profile `smoke`. `make lab` opens the chapters in JupyterLab, where
# any line can be changed.
#
# ```sh
# jupytext --to ipynb notebooks/03_finetuning.py -o 03.ipynb
# papermill 03.ipynb 03.done.ipynb -p profile smoke
# ```
#
# ## Exercises
#
# 1. Replace `rank < 5` by `rank < 1`: the top-1 accuracy.
# 2. Group by `commit` in place of `kind`: each row is a state of the code.
