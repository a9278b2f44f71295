"""Run by torchrun from test_gpu.py: a few steps of fine-tuning on a GPU that all processes share;
their weights are written.

``none`` is one process as usual; ``nccl`` one whose gradients take the way of several; ``gloo`` any
number.
"""

import os
import sys
from pathlib import Path

import torch
from helpers import MemorySet
from safetensors.torch import save_file
from torch import distributed

from blurpaper.networks.vgg import VGG
from blurpaper.runs import devices
from blurpaper.runs.profile import Compute, Phase, Protocol, Schedule
from blurpaper.training import loop
from blurpaper.training.batches import Task
from blurpaper.training.objectives import Agreement, Labels


def main(how: str, path: Path) -> None:
    torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic = False, True
    torch.cuda.set_device(0)
    if how != "none":
        distributed.init_process_group(how)
        assert devices.count() == int(os.environ["WORLD_SIZE"])
    if how == "nccl":
        loop._together = torch.nn.parallel.DistributedDataParallel

    torch.manual_seed(0)
    pictures = [
        torch.randint(0, 256, (3, 120, 120 + number % 3), dtype=torch.uint8) for number in range(14)
    ]
    images = MemorySet(pictures, [number % 2 for number in range(14)], ("even", "odd"))
    shape = ((4, 8, 8, 8, 8), (1, 1, 1, 1, 1), (16,))
    network, tuned, teacher = (VGG(images.classes, 64, *shape, batch_norm=False) for _ in range(3))
    settings = Protocol(
        canonical=108, scales={"128": 36, "256": 72, "512": 144}, jitter=[356, 384, 410], field=64
    )
    schedule = Schedule(
        phases=[Phase(epochs=3, rate=0.01)], batch=7, momentum=0.9, weight_decay=5e-4
    )
    compute = Compute(device="cuda", precision="float32", checkpoint_seconds=60)
    task = Task(images, {"sharp": 0.5, "D8": 0.3, "shake": 0.2}, "256", seed=5)

    loop.train(Labels(network), task, schedule, settings, compute)
    loop.train(Agreement(tuned, teacher, features=0.0), task, schedule, settings, compute)
    if how != "none":
        summed, decided = torch.ones(1, device="cuda"), [devices.number() == 0]
        distributed.all_reduce(summed)
        distributed.broadcast_object_list(decided)
        distributed.barrier()
        assert summed.item() == devices.count() == devices.total(
            torch.ones(1, device="cuda")
        ) and decided == [True]
    if devices.number() == 0:
        both = torch.nn.ModuleDict({"labels": network, "agreement": tuned})
        save_file(
            {name: tensor.cpu().contiguous() for name, tensor in both.state_dict().items()}, path
        )
    if how != "none":
        distributed.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
