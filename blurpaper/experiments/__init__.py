"""One experiment a table or figure of the paper: what it measures, and from a run to tidy rows."""

from blurpaper.experiments import recognition  # first, as the paper's tables come first

# isort: split
from blurpaper.experiments import deblurring, examples, segmentation
from blurpaper.experiments.examples import FIGURE1_CONDITIONS, FIGURE3_CONDITIONS
from blurpaper.experiments.measurements import EXPERIMENTS, Experiment, experiment
from blurpaper.experiments.recognition import BASELINES

__all__ = [
    "BASELINES",
    "EXPERIMENTS",
    "FIGURE1_CONDITIONS",
    "FIGURE3_CONDITIONS",
    "Experiment",
    "deblurring",
    "examples",
    "experiment",
    "recognition",
    "segmentation",
]
