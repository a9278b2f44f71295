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
# # The claims
#
# A paper makes its case in sentences. Here are those of this paper that numbers can bear out, each reworded, with a criterion
# that is written in the code, and what three sources say of it: the paper's own numbers, the published run on photographs and this run.
# Misses are kept.

# %% tags=["parameters", "remove-cell"]
profile = "emoji"
overrides = {}
published = False

# %% tags=["remove-cell"]

from blurpaper import claims
from blurpaper.book import tables
from blurpaper.book.page import Page

page = Page(profile, overrides, published)
entries = claims.ledger(page.source)

# %% [markdown]
# ## How they are decided
#
# A claim holds if all of its criteria do; a criterion compares a quantity, such as a difference of two accuracies, with a limit. The images are
# resampled, the same for all networks, so that differences are paired; where a network was trained from several seeds, these are
# resampled too. The share of resamples that contradict a criterion is its p-value; that of a claim is the largest of its criteria's. That of its
# contrary is the smallest share that supports a criterion, times the number of criteria, since any of them could fail by chance.
# Many claims are tested at once: among those that one table or figure decides, the procedure of Benjamini and Hochberg {cite}`benjamini1995` keeps the expected share of wrong
# verdicts among those given below one in twenty.
#
# - **reproduced**, **not reproduced**: sure enough, one way or the other;
# - **undecided**: the images at hand do not tell. The interval shown is of the level that decides, given the other claims of the family, so that it
#   contains the limit; the number of images that would decide is estimated from its width and its distance from the limit;
# - **conditions not met**: the source would not reproduce it, but some number of it rests on less than a hundredth of what the paper had: of the labelled
#   training images a class, of the classes, or of the test images. One rule serves all claims. A claim that the paper's own numbers contradict too, or
#   of which it gives none, has no such excuse; one that is reproduced or undecided with less stays so;
# - **not run**: the source does not have the numbers (the cell says which, if pointed at).
#
# Of the paper only the numbers are known, not what each image was decided to be. Accuracies are then drawn from their binomial
# intervals, each by itself, which is cautious: they were measured on the same images. What it gives without a number of
# images is decided by the points alone, and marked so.
#
# The criteria were written when the results of most chapters were known to us, though not what the ledger would make of them; none was
# changed afterwards. The procedure was: a more cautious one (Benjamini and Yekutieli's) was tried first, under which several claims of the
# paper's own numbers stayed undecided that a single test would decide. Then this one was taken, before it was applied to our runs.
# That the claims of one table or figure are a family of their own was settled last of all; it changed no verdict.

# %% tags=["remove-input"]
for source, verdicts in tables.counts(entries).items():
    told = ", ".join(f"{number} {verdict}" for verdict, number in verdicts.most_common())
    page.say(f"*{source}*: of {sum(verdicts.values())} claims, {told}.")

# %% [markdown]
# (claims)=
# ## The ledger

# %% tags=["remove-input"]
page.claims()

# %% [markdown]
# ## Where the paper's own numbers do not bear it out

# %% tags=["remove-input"]
for entry in entries:
    if entry.claim.paper in (claims.NOT_REPRODUCED, claims.UNDECIDED):
        page.say(f"- *Section {entry.claim.section}: {entry.claim.says}* {entry.claim.note}")
