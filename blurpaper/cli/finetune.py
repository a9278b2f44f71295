"""Make a network robust to blur on a folder of one's own photographs, with labels or without."""

from __future__ import annotations

import glob
from pathlib import Path

from blurpaper.cli.base import each_once
from blurpaper.data import folders
from blurpaper.data.folders import readable
from blurpaper.data.images import ImageError
from blurpaper.evaluation.folder import fitted
from blurpaper.kernels import MIXES, check_mix
from blurpaper.networks import MODELS, NetworkSpec, Reference, files
from blurpaper.networks.external import external
from blurpaper.networks.files import NetworkFile
from blurpaper.runs import Run
from blurpaper.runs.files import UserError
from blurpaper.runs.progress import progress
from blurpaper.runs.randomness import seed_of
from blurpaper.training import loop, networks
from blurpaper.training.batches import Task


def mix_of(text: str) -> tuple[str, dict[str, float]]:
    """A mix by name, or conditions with commas, each as likely as the others: its name and its
    shares.

    Raises:
        UserError: for an unknown condition or one named twice.
    """
    if text in MIXES:
        return text, dict(MIXES[text])
    names = each_once("--mix", text)
    mix = {name: 1 / len(names) for name in names}
    try:
        check_mix(mix)
    except ValueError as error:
        raise UserError(
            f"a mix is one of {', '.join(MIXES)}, or conditions with commas: {error}"
        ) from None
    known = next((name for name, shares in MIXES.items() if shares == mix), None)
    return known or ",".join(names), mix


def finetune(
    start: Reference, folder: Path, mix: str, unlabelled: bool, out: Path, run: Run
) -> tuple[int, int, list[str]]:
    """Fine-tune a network on the photographs of a folder and write it to a file; a killed run is
    resumed. Broken images are left out.

    Args:
        mix: name of a mix, or conditions with commas.
        unlabelled: train it to agree with its own predictions on the sharp images, instead of the
            labels.

    Returns:
        how many photographs it was tuned on, how many steps that took, and a sentence for each
        photograph that was left out.

    Raises:
        ImageError: if the folder cannot be read, or more than 1 % of its images, or labels are
            wanted and it has none, or there are fewer images than a batch.
    """
    name, shares = mix_of(mix)
    profile = fitted(run, start).profile
    listed = folders.load_folder(folder, start.classes, labelled=not unlabelled, tolerant=True)
    schedule = profile.agreement if unlabelled else profile.finetuning
    if not unlabelled and (listed.labels < 0).any():
        raise ImageError(
            f"{folder}: its subfolders do not name classes of {start} (by class name or WordNet "
            "id); name them so, or tune without labels (--unlabelled)."
        )
    images, left_out = readable(listed, run.store)
    if len(images) < schedule.batch:
        section = "agreement" if unlabelled else "finetuning"
        raise ImageError(
            f"{folder} has {len(images)} images, fewer than a batch of {schedule.batch} (-p "
            f"{section}.batch=N)."
        )
    network = start.load()
    if not all(hasattr(one, "detach") for one in network.stored.state_dict().values()):
        raise UserError(f"{start} has a state that is no tensor, which no .safetensors file holds.")
    objective = networks.objective_of(network, schedule)
    task = Task(images, shares, "256", run.seed("finetune"))
    made_from = start.identity, images.fingerprint, name, schedule, profile.protocol, profile.seed
    key = seed_of(*made_from, profile.compute.precision) % 2**32
    checkpoint = out.with_name(f"{out.name}.{key:08x}.checkpoint")
    with progress(f"fine-tuning {start} on {name}", unit="step") as tick:
        loop.train(objective, task, schedule, profile.protocol, profile.compute, checkpoint, tick)
    recipe = "agreement" if unlabelled else "labels"
    files.save(network, NetworkSpec(start.model, name, recipe=recipe), out)
    # The checkpoint, and temporary files of a killed run.
    for done_with in out.parent.glob(f"{glob.escape(checkpoint.name)}*"):
        done_with.unlink(missing_ok=True)
    return len(images), len(list(loop.steps_of(schedule, len(images)))), left_out


def tuned(start: Reference, out: Path) -> Reference:
    """The network that :func:`finetune` wrote from that start."""
    return NetworkFile.at(out) if start.model in MODELS else external(start.model, weights=out)
