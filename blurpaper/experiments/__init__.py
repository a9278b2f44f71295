"""One function a table or figure of the paper: from a profile and a store to tidy rows.

Each computes what is new and loads the rest. Given :class:`Published` instead of a store, each
reads the committed results.
"""

from blurpaper.experiments import deblurring, examples, recognition, segmentation
from blurpaper.experiments.examples import FIGURE1_CONDITIONS, FIGURE3_CONDITIONS
from blurpaper.experiments.recognition import BASELINES, decisions
from blurpaper.experiments.sources import EXPERIMENTS, Experiment, Published, experiment

__all__ = [
    "BASELINES",
    "EXPERIMENTS",
    "FIGURE1_CONDITIONS",
    "FIGURE3_CONDITIONS",
    "Experiment",
    "Published",
    "deblurring",
    "decisions",
    "examples",
    "experiment",
    "recognition",
    "segmentation",
]
