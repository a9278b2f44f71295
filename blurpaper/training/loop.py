"""The training loop: from scratch or fine-tuning, in one process or several, resumable at any step
bit for bit (Section 4).

A batch depends on its number alone (:mod:`blurpaper.training.batches`), so that a checkpoint needs
only the weights, the optimizer's state and that number. Several processes share each batch and
average their gradients.
"""

from __future__ import annotations

import inspect
import math
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from blurpaper.data.sets import KeptSet, room
from blurpaper.networks import files
from blurpaper.networks.base import Network, WeightsError, shared_batch
from blurpaper.runs import devices
from blurpaper.runs.devices import autocast, device_of
from blurpaper.runs.files import UserError
from blurpaper.runs.profile import Compute, Protocol, Schedule
from blurpaper.runs.progress import progress
from blurpaper.runs.randomness import seed_of
from blurpaper.training.batches import Task, ahead, epoch_order, make_batch
from blurpaper.training.objectives import Objective

# --- The loop -------------------------------------------------------------------------------------


def steps_of(schedule: Schedule, count: int) -> Iterator[tuple[int, int, float]]:
    """(epoch, batch in it, learning rate) of every step for a set of so many images."""
    per_epoch = max(1, count // schedule.batch)
    epoch = 0
    for phase in schedule.phases:
        total = phase.epochs * per_epoch
        end = phase.rate if phase.end_rate is None else phase.end_rate
        for step in range(total):
            rate = phase.rate + (end - phase.rate) * step / total
            yield epoch + step // per_epoch, step % per_epoch, rate
        epoch += phase.epochs


def _members(task: Task, schedule: Schedule, epoch: int, batch: int) -> list[int]:
    """Numbers of the images of a batch."""
    order = epoch_order(task, epoch)
    return order[batch * schedule.batch : (batch + 1) * schedule.batch].tolist()


def train_or_resume(
    objective: Callable[[], Objective],
    task: Task,
    schedule: Schedule,
    settings: Protocol,
    compute: Compute,
    name: str,
    scratch: Path,
) -> nn.Module:
    """Train a network with a progress bar and a checkpoint in ``scratch``, from which a killed run
    goes on.

    Args:
        objective: makes the objective, with the network before training.
        name: of the network, for people.
    """
    checkpoint = scratch / "checkpoint.safetensors"
    with progress(f"training {name}", unit="step") as tick:
        return train(objective(), task, schedule, settings, compute, checkpoint, tick)


def train(
    objective: Objective,
    task: Task,
    schedule: Schedule,
    settings: Protocol,
    compute: Compute,
    checkpoint: Path | None = None,
    tick: Callable[[int, int, float], object] = lambda done, total, loss: None,
) -> nn.Module:
    """Train the network of an objective in place and return it; if ``checkpoint`` holds the state
    of a killed run, go on.

    Args:
        checkpoint: file written every ``compute.checkpoint_seconds``; the caller removes it once
            the network is stored. One that is damaged is reported, and training begins anew.
        tick: called with (steps done, steps in all, loss).

    Raises:
        UserError: if the loss is no longer finite, naming the step and the batch; the last
            checkpoint is kept.
    """
    devices.join()  # by which each takes its GPU
    task = replace(task, images=KeptSet(task.images, room() / devices.count()))
    device = device_of(compute)
    network = objective.network
    objective.to(device, memory_format=torch.channels_last)
    optimizer = _optimizer(objective.groups(), schedule)
    steps = list(steps_of(schedule, len(task.images)))
    start = _restore(checkpoint, network, optimizer) if checkpoint else 0
    objective.train()
    if schedule.freeze_batch_norm:
        for layer in _normalisations(network):
            layer.eval()
    together = _together(objective)

    def own_batch(number: int) -> Any:  # noqa: ANN401
        epoch, place, _ = steps[number]
        _, own = devices.share(_members(task, schedule, epoch, place))
        return objective.batch(task, own, epoch, settings, schedule.flip, device)

    if steps:
        task.images[0]  # what must first be drawn is drawn in this thread, which hears an interrupt
    last_saved = time.monotonic()
    for number, batch in ahead(own_batch, range(start, len(steps)), device):
        epoch, place, rate = steps[number]
        members = _members(task, schedule, epoch, place)
        torch.manual_seed(seed_of(task.seed, "dropout", number) % 2**63)
        with autocast(compute, device), shared_batch(devices.share(members)[0], len(members)):
            # The mean over all processes' gradients is that of the whole batch if each counts for
            # its share of it.
            loss = together(batch) * (len(batch.labels) * devices.count() / len(members))
        if not math.isfinite(value := devices.total(loss) / devices.count()):
            images = ", ".join(task.images.ids[member] for member in members[:3])
            raise UserError(
                f"the loss is {value} at step {number} of {len(steps)} (epoch {epoch}, batch "
                f"{place}: {images}, ...); lower the learning rate, now {rate:g}."
            )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for group in optimizer.param_groups:
            group["lr"] = rate * group["lr_scale"]
        optimizer.step()
        tick(number + 1, len(steps), value)
        due = time.monotonic() - last_saved > compute.checkpoint_seconds
        if checkpoint and due and devices.number() == 0:
            _save(checkpoint, network, optimizer, number + 1)
            last_saved = time.monotonic()
    return network.eval()


def _optimizer(groups: list[dict[str, Any]], schedule: Schedule) -> torch.optim.Optimizer:
    common = {"lr": 0.0, "weight_decay": schedule.weight_decay}
    if schedule.optimizer == "adamw":
        return torch.optim.AdamW(groups, betas=(schedule.beta1, 0.999), **common)
    return torch.optim.SGD(groups, momentum=schedule.momentum, **common)


def _together(objective: nn.Module) -> nn.Module:
    """The objective, its gradients averaged over all processes if there are several."""
    if devices.count() == 1:
        return objective
    parallel = nn.parallel.DistributedDataParallel
    synchronise = "forward_sync_buffers"  # until torch 2.13 it had another name
    if synchronise not in inspect.signature(parallel).parameters:
        synchronise = "broadcast_buffers"
    return parallel(objective, **{synchronise: False})


def _normalisations(network: nn.Module) -> list[nn.Module]:
    norm = nn.modules.batchnorm._BatchNorm
    return [module for module in network.modules() if isinstance(module, norm)]


def reestimate_batch_norm(
    start: Callable[[], Network],
    task: Task,
    schedule: Schedule,
    settings: Protocol,
    compute: Compute,
    batches: int,
) -> Network:
    """Replace the running statistics of batch normalisation by those of so many batches of a task;
    no weight is trained.

    Raises:
        UserError: if the network has no batch normalisation.
    """
    device, network = device_of(compute), start()
    network.to(device, memory_format=torch.channels_last).eval()
    if not _normalisations(network):
        raise UserError(
            f"{type(network).__name__} has no batch normalisation whose statistics could be "
            "re-estimated."
        )
    seen = (
        make_batch(
            task, _members(task, schedule, 0, batch), 0, settings, schedule.flip, device
        ).seen
        for batch in range(min(batches, max(1, len(task.images) // schedule.batch)))
    )
    with autocast(compute, device):
        update_bn(seen, network)
    return network


# --- Checkpoints ----------------------------------------------------------------------------------


def _save(path: Path, network: nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
    tensors = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    for name, parameter in network.named_parameters():
        for kind, value in optimizer.state[parameter].items():
            if isinstance(value, torch.Tensor):
                tensors[f"optimizer.{kind}.{name}"] = value
    files.write(tensors, {"step": str(step)}, path)


def _restore(path: Path, network: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Load a checkpoint if there is one; the number of the step to go on with."""
    if not path.exists():
        return 0
    try:
        tensors, step = files.read(path), int(files.metadata(path)["step"])
    except WeightsError:
        warnings.warn(f"the checkpoint {path} is damaged: training begins anew.", stacklevel=2)
        return 0
    network.load_state_dict(
        {n.removeprefix("network."): t for n, t in tensors.items() if n.startswith("network.")}
    )
    parameters = dict(network.named_parameters())
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, kind, name = key.split(".", 2)
            like = parameters[name] if value.shape == parameters[name].shape else value
            optimizer.state[parameters[name]][kind] = torch.empty_like(like).copy_(value)
    return step
