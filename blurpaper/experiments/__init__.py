"""Each table and figure of the paper as an experiment: its measurements, and tidy rows of a run."""

# In the order of the paper, in which they register.
from blurpaper.experiments import recognition  # noqa: F401, I001
from blurpaper.experiments import fine_tuning  # noqa: F401
from blurpaper.experiments import deblurring, examples, segmentation  # noqa: F401
from blurpaper.experiments.measurements import EXPERIMENTS, Experiment

__all__ = ["EXPERIMENTS", "Experiment"]
