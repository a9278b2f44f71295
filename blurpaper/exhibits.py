"""Single images to show: which ones, to which networks, and what those say of them (Fig. 1 and 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blurpaper import profile as profiles
from blurpaper import protocol, results, runs
from blurpaper.kernels import SHARP
from blurpaper.networks import Network, NetworkSpec
from blurpaper.networks.released import NetworkFile, released
from blurpaper.profile import Profile

if TYPE_CHECKING:
    import pandas as pd
    import torch

Named = NetworkSpec | NetworkFile


def predicted(
    network: Network, spec: Named, place: str, image: torch.Tensor, condition: str, settings: Profile
) -> tuple[dict[str, str], torch.Tensor]:
    """A network's log-probabilities on one image at scale 256, renormalised, and the columns that say of what."""
    canonical = protocol.to_canonical(image, settings.protocol.canonical)
    found = protocol.log_probabilities(
        {"256": network}, [canonical], [place], condition, settings.protocol, settings.compute, batch=1
    )
    log_p = found["256"][0].log_softmax(dim=0)
    return runs.columns_of(spec, place, len(log_p), "256", condition), log_p


def rank(log_p: torch.Tensor, network: Network, answers: set[str]) -> int:
    """Place of the likeliest right answer, 1 being first."""
    right = [number for number, name in enumerate(network.classes) if name in answers]
    return 1 + min(int((log_p > log_p[number]).sum()) for number in right)


def on_photographs() -> list[tuple[Profile, Named]]:
    """The networks shown on scikit-image's photographs: EfficientNet-Lite0 as it is, and as it comes with blurpaper."""
    photos = profiles.load("photos")
    robust = released(photos.model, "mix")
    return [(photos, one) for one in (NetworkSpec(photos.model), robust) if one]


def telling(decided: pd.DataFrame) -> int:
    """Number of the first test image that is recognised with confidence when sharp, and is not even second under D8."""
    at_256 = results.select(decided, scale="256")
    sharp, blurred = (results.select(at_256, condition=c).reset_index(drop=True) for c in (SHARP, "D8"))
    fits = (sharp["rank"] == 0) & (sharp["confidence"] > 0.5) & (blurred["rank"] >= 2)
    return int(fits.to_numpy().argmax())
