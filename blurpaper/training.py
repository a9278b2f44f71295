"""The one training loop: from scratch or fine-tuning, resumable at any step, bit for bit (Sec. 4).

A batch is made as the paper says: each image at a pre-blur scale drawn around 384, blurred with a kernel drawn from the mix
(or not at all), resized by target / 384 so that a kernel always has the same size at the network, cropped to the field,
flipped or not. All draws of an image come from a hash of (seed, set, image, epoch), so a batch depends on its number
alone; with the weights and the momentum that is all a checkpoint needs.
"""

from __future__ import annotations

import json
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from blurpaper import blur, protocol
from blurpaper.data.base import ImageSet
from blurpaper.devices import autocast, device_of
from blurpaper.kernels import CANONICAL
from blurpaper.networks.base import Network
from blurpaper.profile import Compute, Protocol, Schedule
from blurpaper.randomness import seed_of, stream, uniforms
from blurpaper.store import written


class TrainingError(RuntimeError):
    """Training that cannot go on, in one sentence."""


@dataclass(frozen=True)
class Task:
    """What a network is trained on: images, a mix of blurs and a scale setting."""

    images: ImageSet
    mix: dict[str, float]
    train_scale: str
    seed: int


# --- Batches -------------------------------------------------------------------------------------------------------------


def epoch_order(task: Task, epoch: int) -> Sequence[int]:
    """The images of an epoch in their order, shuffled anew each time."""
    return stream(task.seed, "order", task.images.name, epoch).permutation(len(task.images)).tolist()


def make_batch(
    task: Task, numbers: Sequence[int], epoch: int, settings: Protocol, flip: bool, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Crops in grey levels, float32 ``(B, 3, field, field)``, and labels ``(B,)`` of those images in that epoch."""
    draws = [uniforms(task.seed, "augmentation", task.images.name, task.images.ids[n], epoch) for n in numbers]
    images = task.images.batch(numbers)
    groups = defaultdict(list)
    for place, (image, draw) in enumerate(zip(images, draws, strict=True)):
        groups[tuple(image.shape), _pick(settings.jitter, draw[0]), _pick(task.train_scale.split("+"), draw[3])].append(place)

    crops = torch.empty(len(numbers), 3, settings.field, settings.field, device=device)
    scale = settings.canonical / CANONICAL
    for (shape, jitter, target), places in groups.items():
        group = torch.stack([images[place] for place in places]).to(device)
        before = protocol.scaled_shape(shape, jitter * scale / min(shape[-2:]))
        psfs = [blur.draw(task.mix, draws[place][1], draws[place][2], scale) for place in places]
        seen = blur.apply(protocol.resized_8bit(group, before), psfs)
        inputs = protocol.resized(seen, protocol.scaled_shape(before, settings.pixels(target) / settings.canonical))
        for place, one in zip(places, inputs, strict=True):
            crops[place] = _cropped(one, settings.field, draws[place], flip)
    labels = torch.as_tensor(task.images.labels[list(numbers)], device=device)
    return crops, labels


def _pick(choices: Sequence, at: float):  # noqa: ANN202 (an element of the choices)
    return choices[int(at * len(choices))]


def _cropped(image: torch.Tensor, field: int, draw: tuple[float, ...], flip: bool) -> torch.Tensor:
    top, left = (int(at * (side - field + 1)) for at, side in zip(draw[4:6], image.shape[-2:], strict=True))
    crop = image[:, top : top + field, left : left + field]
    return crop.flip(-1) if flip and draw[6] < 0.5 else crop


# --- Losses --------------------------------------------------------------------------------------------------------------

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def labels_loss(smoothing: float) -> Loss:
    """Cross-entropy with the labels: the paper's recipe."""

    def loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(logits, labels, label_smoothing=smoothing)

    return loss


# --- The loop ------------------------------------------------------------------------------------------------------------


def steps_of(schedule: Schedule, count: int) -> Iterator[tuple[int, int, float]]:
    """(epoch, batch in it, learning rate) of every step for a set of so many images."""
    per_epoch = max(1, count // schedule.batch)
    epoch = 0
    for phase in schedule.phases:
        total = phase.epochs * per_epoch
        end = phase.rate if phase.end is None else phase.end
        for step in range(total):
            yield epoch + step // per_epoch, step % per_epoch, phase.rate + (end - phase.rate) * step / total
        epoch += phase.epochs


def train(
    network: Network,
    task: Task,
    schedule: Schedule,
    settings: Protocol,
    compute: Compute,
    checkpoint: Path | None = None,
    tick: Callable[[int, int, float], object] = lambda done, total, loss: None,
) -> Network:
    """Train a network in place and return it; if ``checkpoint`` holds the state of a killed run, go on from there.

    Args:
        checkpoint: file written every ``compute.checkpoint_seconds``; the caller removes it once the network is stored.
        tick: told of (steps done, steps in all, loss).

    Raises:
        TrainingError: if the loss is no longer finite, naming the step and the batch; the last checkpoint is kept.
    """
    device = device_of(compute)
    network.to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.0, momentum=schedule.momentum, weight_decay=schedule.weight_decay)
    loss_of = labels_loss(schedule.label_smoothing)
    steps = list(steps_of(schedule, len(task.images)))
    start = _restore(checkpoint, network, optimizer) if checkpoint else 0
    last_saved, order, order_epoch = time.monotonic(), [], -1
    _set_mode(network, schedule)
    for number in range(start, len(steps)):
        epoch, batch, rate = steps[number]
        if epoch != order_epoch:
            order, order_epoch = epoch_order(task, epoch), epoch
        members = order[batch * schedule.batch : (batch + 1) * schedule.batch]
        crops, labels = make_batch(task, members, epoch, settings, schedule.flip, device)
        torch.manual_seed(seed_of(task.seed, "dropout", number) % 2**63)
        with autocast(compute, device):
            logits = network(crops).mean(dim=(2, 3))
        loss = loss_of(logits.float(), labels)
        if not math.isfinite(value := loss.item()):
            images = ", ".join(task.images.ids[member] for member in members[:3])
            raise TrainingError(
                f"the loss is {value} at step {number} of {len(steps)} (epoch {epoch}, batch {batch}: {images}, ...); "
                f"lower the learning rate, now {rate:g}."
            )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        tick(number + 1, len(steps), value)
        if checkpoint and time.monotonic() - last_saved > compute.checkpoint_seconds:
            _save(checkpoint, network, optimizer, number + 1)
            last_saved = time.monotonic()
    return network.eval()


def reestimate_batch_norm(
    network: Network, task: Task, schedule: Schedule, settings: Protocol, compute: Compute, batches: int
) -> Network:
    """Replace the running statistics of batch normalisation by those of so many batches of a task; no weight is trained.

    Raises:
        ValueError: if the network has no batch normalisation.
    """
    device = device_of(compute)
    network.to(device, memory_format=torch.channels_last).eval()
    layers = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    if not layers:
        raise ValueError(f"{type(network).__name__} has no batch normalisation whose statistics could be re-estimated.")
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum, usual = None, layer.momentum  # None: the plain average over the batches
        layer.train()
    order = epoch_order(task, 0)
    with torch.no_grad(), autocast(compute, device):
        for batch in range(min(batches, max(1, len(order) // schedule.batch))):
            members = order[batch * schedule.batch : (batch + 1) * schedule.batch]
            network(make_batch(task, members, 0, settings, schedule.flip, device)[0])
    for layer in layers:
        layer.momentum = usual
    return network.eval()


def _set_mode(network: Network, schedule: Schedule) -> None:
    network.train()
    if schedule.freeze_batch_norm:
        for module in network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


# --- Checkpoints ---------------------------------------------------------------------------------------------------------


def _save(path: Path, network: Network, optimizer: torch.optim.Optimizer, step: int) -> None:
    from safetensors.torch import save_file

    tensors = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    for name, parameter in network.named_parameters():
        if (momentum := optimizer.state[parameter].get("momentum_buffer")) is not None:
            tensors[f"momentum.{name}"] = momentum
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with written(path) as temporary:
        save_file(tensors, temporary, metadata={"step": json.dumps(step)})


def _restore(path: Path, network: Network, optimizer: torch.optim.Optimizer) -> int:
    """Load a checkpoint if there is one; the number of the step to go on with."""
    from safetensors import safe_open

    if not path.exists():
        return 0
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        step = json.loads(file.metadata()["step"])
    network.load_state_dict({n.removeprefix("network."): t for n, t in tensors.items() if n.startswith("network.")})
    for name, parameter in network.named_parameters():
        if (momentum := tensors.get(f"momentum.{name}")) is not None:
            optimizer.state[parameter]["momentum_buffer"] = torch.empty_like(parameter).copy_(momentum)
    return step
