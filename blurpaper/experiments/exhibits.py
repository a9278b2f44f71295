"""Single images to show: which ones, to which networks, and what those say of them (Figures 1, 3 and
5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from blurpaper import data
from blurpaper.data import resizing
from blurpaper.data.examples import SEGMENTED, CarriedSet
from blurpaper.evaluation import predictions, protocol
from blurpaper.experiments import results
from blurpaper.kernels import SHARP
from blurpaper.networks import Network, NetworkSpec
from blurpaper.networks.files import NetworkFile
from blurpaper.networks.weights import released
from blurpaper.runs import profile as profiles
from blurpaper.runs.profile import Profile
from blurpaper.runs.store import Store
from blurpaper.segmentation import metrics, networks

if TYPE_CHECKING:
    import pandas as pd
    import torch

Named = NetworkSpec | NetworkFile


def predicted(
    network: Network,
    spec: Named,
    place: str,
    image: torch.Tensor,
    condition: str,
    settings: Profile,
) -> tuple[dict[str, str], torch.Tensor]:
    """A network's log-probabilities on one image at scale 256, and the columns that say of what.

    Args:
        image: uint8 ``(3, H, W)``.

    Returns:
        the columns, and ``(K,)``, renormalised.
    """
    canonical = resizing.to_canonical(image, settings.protocol.canonical)
    found = protocol.log_probabilities(
        {"256": network},
        [canonical],
        [place],
        condition,
        settings.protocol,
        settings.compute,
        batch=1,
    )
    log_p = found["256"][0].log_softmax(dim=0)
    return predictions.columns_of(spec, place, len(log_p), "256", condition), log_p


def rank(log_p: torch.Tensor, network: Network, answers: set[str]) -> int:
    """Place of the likeliest right answer in log-probabilities ``(K,)``, 1 being first."""
    right = [number for number, name in enumerate(network.classes) if name in answers]
    return 1 + min(int((log_p > log_p[number]).sum()) for number in right)


def on_photographs() -> list[tuple[Profile, Named]]:
    """The networks shown on scikit-image's photographs: EfficientNet-Lite0 as it is, and as it
    comes with blurpaper.
    """
    photos = profiles.load("photos")
    robust = released(photos.model, "mix")
    return [(photos, one) for one in (NetworkSpec(photos.model), robust) if one]


def telling(decided: pd.DataFrame) -> int:
    """Number of the first test image that is recognised with confidence when sharp, and is not even
    second under D8.
    """
    at_256 = results.select(decided, scale="256")
    sharp, blurred = (
        results.select(at_256, condition=c).reset_index(drop=True) for c in (SHARP, "D8")
    )
    fits = (sharp["rank"] == 0) & (sharp["confidence"] > 0.5) & (blurred["rank"] >= 2)
    return int(fits.to_numpy().argmax())


# --- Segmented scenes -----------------------------------------------------------------------------

SHOWN = (("original", SHARP), ("original", "D8"), ("mix", "D8"))
"""Of which networks, and under which conditions, label maps are shown (Fig. 5)."""


def scenes(profile: Profile, store: Store) -> dict[str, int]:
    """Names and numbers of the embedded test scenes on which D8 costs the original most: by
    mislocation, and by misnaming.

    None where the profile's scenes are photographs, which are not ours to show.
    """
    if profile.segmentation.data != data.SCENES:
        return {}
    images = data.load_segmented(profile.segmentation.data, "test", profile, store)
    kinds = ("all", "labels given", "regions given")
    errors = {}
    found = networks.confusions(NetworkSpec(profile.model), (SHARP, "D8"), profile, store)
    for condition, counts in found.items():
        errors[condition] = np.array(
            metrics.shares(*(metrics.mean_iou(counts[kind]) for kind in kinds))
        )
    recognition, localisation = errors["D8"] - errors[SHARP]
    chosen = [
        int(np.nanargmax(localisation - recognition)),
        int(np.nanargmax(recognition - localisation)),
    ]
    return {images.ids[number]: number for number in chosen}


def label_maps(profile: Profile, store: Store) -> dict[str, np.ndarray]:
    """Label maps of the scenes that are shown, by ``scene mix condition``: uint8 ``(H, W)``.

    Of the embedded scenes those of :func:`scenes`; where the profile's scenes are photographs, of
    scikit-image's instead.
    """
    if profile.segmentation.data == data.SCENES:
        whole = data.load_segmented(profile.segmentation.data, "test", profile, store)
        images: data.ImageSet = data.Subset(whole, list(scenes(profile, store).values()))
    else:
        carried = data.JoinedSet([CarriedSet("test"), CarriedSet("train")])
        images = data.Subset(
            carried, [carried.ids.index(f"scikit-image/{example.name}") for example in SEGMENTED]
        )
    found = {}
    for mix, condition in SHOWN:
        maps = networks.label_maps(
            NetworkSpec(profile.model, mix), images, condition, profile, store
        )
        found |= {f"{name} {mix} {condition}": one for name, one in maps.items()}
    return found
