"""Each table and figure of the paper as an experiment: its measurements, and tidy rows of a run."""

from blurpaper.experiments import recognition  # first, as the paper's tables come first

# isort: split
from blurpaper.experiments import deblurring, examples, segmentation  # noqa: F401 (which register)
from blurpaper.experiments.examples import FIGURE1_CONDITIONS, FIGURE3_CONDITIONS
from blurpaper.experiments.measurements import EXPERIMENTS, Experiment

BASELINES = recognition.BASELINES

__all__ = ["BASELINES", "EXPERIMENTS", "FIGURE1_CONDITIONS", "FIGURE3_CONDITIONS", "Experiment"]
