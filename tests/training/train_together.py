"""Run by torchrun from test_loop.py: fine-tune a small VGG with dropout, then Zoomout on
another, and write their weights; then give a command twice and say when its network was written.
"""

import os
import sys
from pathlib import Path
from unittest import mock

import torch
from helpers import LabelledScenes, MemorySet
from safetensors.torch import save_file
from torch import distributed

from blurpaper import cli
from blurpaper.data.sets import VOID
from blurpaper.networks.vgg import VGG
from blurpaper.runs import devices
from blurpaper.runs.profile import Compute, Phase, Protocol, Schedule
from blurpaper.segmentation.batches import PerPixel
from blurpaper.segmentation.zoomout import ZoomOut
from blurpaper.training import loop
from blurpaper.training.batches import Task
from blurpaper.training.objectives import Labels


def main(path: Path) -> None:
    torch.manual_seed(0)
    pictures = [
        torch.randint(0, 256, (3, 120, 120 + number % 3), dtype=torch.uint8) for number in range(14)
    ]
    images = MemorySet(pictures, [number % 2 for number in range(14)], ("even", "odd"))
    network, below = (
        VGG(images.classes, 64, (4, 8, 8, 8, 8), (1, 1, 1, 1, 1), (16,), batch_norm=False)
        for _ in range(2)
    )
    settings = Protocol(
        canonical=108, scales={"128": 36, "256": 72, "512": 144}, jitter=[356, 384, 410], field=64
    )
    schedule = Schedule(
        phases=[Phase(epochs=4, rate=0.02)], batch=7, momentum=0.9, weight_decay=5e-4
    )
    compute = Compute(device="cpu", precision="float32", checkpoint_seconds=60)

    task = Task(images, {"sharp": 0.5, "D8": 0.3, "shake": 0.2}, "256", seed=5)
    loop.train(Labels(network), task, schedule, settings, compute)

    label_maps = [torch.randint(0, 3, picture.shape[1:], dtype=torch.uint8) for picture in pictures]
    for label_map in label_maps:
        label_map[:40] = VOID
    segmenter = ZoomOut(below, ("a", "b", "c"), 8)
    task = Task(LabelledScenes(pictures, label_maps, segmenter.labels), task.mix, "", seed=5)
    schedule = schedule.model_copy(
        update={"optimizer": "adamw", "beta1": 0.9, "phases": [Phase(epochs=4, rate=1e-3)]}
    )
    loop.train(PerPixel(segmenter, 64, 30, lr_scale=2.0), task, schedule, settings, compute)
    if devices.number() == 0:
        both = torch.nn.ModuleDict({"classifier": network, "segmenter": segmenter})
        save_file({name: tensor.contiguous() for name, tensor in both.state_dict().items()}, path)


def train_twice(command: list[str]) -> None:
    """Give the command twice to processes that stay joined between: those that join anew may read
    the addresses of the first time (https://github.com/pytorch/pytorch/issues/135712).
    """
    with mock.patch.object(distributed, "destroy_process_group"):
        for _ in range(2):
            cli.main(command, standalone_mode=False)
            if devices.number() == 0:
                store = Path(os.environ["BLURPAPER_STORE"])
                (found,) = store.glob("networks/*_mix_*/*.safetensors")
                print(found.stat().st_mtime_ns)
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    train_twice(sys.argv[2:])
