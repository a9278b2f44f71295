"""What networks see in photographs as they are blurred: likeliest classes, entropy, distance of the
features, and the picture.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from blurpaper.book.play.blurs import conditions, kinds, said
from blurpaper.data import resizing
from blurpaper.evaluation import protocol
from blurpaper.networks.base import STAGES, Network
from blurpaper.runs.devices import device_of
from blurpaper.runs.profile import Compute, Protocol
from blurpaper.runs.progress import progress
from blurpaper.runs.store import Codec, Recipe

SCALE = "256"
"""The scale at which the networks are applied."""
_LIKELY = 5
_QUALITY = 78
"""Of the WebP files, of 100."""

Played = dict[str, Any]
"""What the page shows, as JSON has it; see :func:`played`."""

CODEC: Codec[Played] = Codec(
    ".json",
    save=lambda value, path: (
        path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8") and None
    ),
    load=lambda path: json.loads(path.read_text(encoding="utf-8")),
)


def recipe(
    identities: Mapping[str, str],
    modules: Sequence[str],
    photographs: Mapping[str, torch.Tensor],
    settings: Protocol,
) -> Recipe[Played]:
    """What :func:`played` gives, as an artifact.

    Args:
        identities: network -> what stands for it in a key.
        modules: those that define the networks.
    """
    pixels = {
        name: hashlib.sha256(image.numpy().tobytes()).hexdigest()[:16]
        for name, image in photographs.items()
    }
    inputs = {
        "networks": dict(identities),
        "photographs": pixels,
        "canonical": settings.canonical,
        "pixels": settings.pixels(SCALE),
    }
    return Recipe(
        "play", "+".join(photographs), inputs, ["blurpaper.book.play.seen", *modules], CODEC
    )


def played(
    networks: Mapping[str, Network],
    photographs: Mapping[str, torch.Tensor],
    settings: Protocol,
    compute: Compute,
) -> Played:
    """What each network sees in each photograph, uint8 ``(3, H, W)``, under every blur of the
    slider, at scale 256, in float32.

    Returns:
        ``networks``, ``stages``, ``kinds`` (key, title, and condition and words of each notch), and
        for each photograph its ``size`` (width and height at the canonical scale) and ``seen``:
        condition -> ``picture`` (WebP as a data URI) and network -> ``likely`` (class and
        probability of five), ``entropy`` in nats, ``distances`` (Hamming, a stage each).
    """
    device = device_of(compute)
    for network in networks.values():
        network.to(device, memory_format=torch.channels_last).eval()
    shown = {}
    with (
        torch.inference_mode(),
        progress(
            "seeing photographs blurred", len(photographs) * len(conditions()), "image"
        ) as tick,
    ):
        for name, image in photographs.items():
            canonical = resizing.to_canonical(image, settings.canonical)[None].to(device)
            sharp = {
                label: _maps(network, canonical, settings) for label, network in networks.items()
            }
            by_condition = {}
            for condition in conditions():
                blurred = protocol.blurred(canonical, [name], condition, settings.canonical)
                told = {
                    label: _told(network, blurred, sharp[label], settings)
                    for label, network in networks.items()
                }
                by_condition[condition] = {"picture": _as_uri(blurred[0].cpu()), "networks": told}
                tick(1)
            shown[name] = {"size": [canonical.shape[3], canonical.shape[2]], "seen": by_condition}
    return {
        "networks": list(networks),
        "stages": list(STAGES),
        "kinds": _notches(),
        "photographs": shown,
    }


def _maps(network: Network, images: torch.Tensor, settings: Protocol) -> dict[str, torch.Tensor]:
    """Features of canonical images after each stage, at the scale of the page."""
    inputs = protocol.network_input(images, settings.pixels(SCALE), settings.canonical)
    return network.stage_maps(network.normalised(inputs))


def _told(
    network: Network, images: torch.Tensor, sharp: dict[str, torch.Tensor], settings: Protocol
) -> dict[str, Any]:
    """What a network sees in one blurred image, by one pass for its classes and its features."""
    maps = _maps(network, images, settings)
    log_p = network.classify(maps[STAGES[-1]]).float().log_softmax(dim=1).mean(dim=(2, 3))[0]
    distances = [
        float(((maps[stage] > 0) != (sharp[stage] > 0)).float().mean()) for stage in STAGES
    ]
    return _numbers(log_p.cpu(), network.classes) | {
        "distances": [round(one, 4) for one in distances]
    }


def _notches() -> list[dict[str, Any]]:
    return [
        {
            "key": kind.key,
            "title": kind.title,
            "steps": [
                {"condition": condition, "said": said(condition)} for condition in kind.conditions
            ],
        }
        for kind in kinds()
    ]


def _numbers(log_p: torch.Tensor, classes: Sequence[str]) -> dict[str, Any]:
    """The likeliest classes and the entropy of renormalised log-probabilities ``(K,)``."""
    log_p = log_p.double().log_softmax(dim=0)
    likely = [
        [classes[number], round(float(log_p[number].exp()), 4)]
        for number in log_p.topk(_LIKELY).indices.tolist()
    ]
    return {"likely": likely, "entropy": round(float(torch.special.entr(log_p.exp()).sum()), 4)}


def _as_uri(image: torch.Tensor) -> str:
    """An image, uint8 ``(3, H, W)``, as a data URI."""
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(image.permute(1, 2, 0).contiguous().numpy()).save(
        content, "WEBP", quality=_QUALITY, method=4
    )
    return f"data:image/webp;base64,{base64.b64encode(content.getvalue()).decode()}"
