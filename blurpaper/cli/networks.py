"""Networks: train one, measure one under blur, make one robust."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from blurpaper.cli.base import (
    ADVICE,
    PATH,
    each_once,
    load_profile,
    main,
    need_data,
    override_option,
    profile_option,
    say_left_out,
)
from blurpaper.runs import Run
from blurpaper.runs.files import UserError, check_writable

if TYPE_CHECKING:
    from blurpaper.networks import Reference


@main.command()
@click.argument("spec")
@profile_option
@override_option
def train(spec: str, profile: str, overrides: tuple[str, ...]) -> None:
    """Train the network SPEC, as in small_vgg:original, and keep it in the store.

    segmentation:MIX is the network that labels every pixel of the profile's scenes. Published
    weights are fetched.

    On several GPUs: torchrun --nproc-per-node N -m blurpaper train SPEC --profile P. To have
    torchrun start them all again from the last checkpoint when one dies, set
    TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 and add --max-restarts 3.
    """
    _take_own_gpu()
    from dataclasses import replace

    from blurpaper.networks import NetworkSpec
    from blurpaper.runs import devices
    from blurpaper.runs.store import Store
    from blurpaper.segmentation.networks import SEGMENTATION, segmenter
    from blurpaper.training.networks import is_published, trained

    settings, _ = load_profile(profile, overrides)
    parsed, run = NetworkSpec.parse(spec, settings.model), Run(settings, Store())
    if not (published := is_published(parsed)):
        need_data(settings)
    if parsed.model == SEGMENTATION:
        segmenter(replace(parsed, model=settings.model), run).load()
    else:
        trained(parsed, run).load()
    if published:
        click.echo(f"the weights of {parsed} are published: there is nothing to train")
    elif devices.number() == 0:
        click.echo(f"{parsed} is in {run.store.root}")
    if devices.count() > 1:
        from torch import distributed

        distributed.destroy_process_group()


def _take_own_gpu() -> None:
    """Let each of torchrun's processes see its own GPU alone, so that all its threads use that."""
    local = os.environ.get("LOCAL_RANK")
    if local is not None and "WORLD_SIZE" in os.environ:
        seen = os.environ.get("CUDA_VISIBLE_DEVICES")
        # Beyond the list there is none for it; an empty list hides them all.
        os.environ["CUDA_VISIBLE_DEVICES"] = (
            local if seen is None else ",".join(seen.split(",")[int(local) :][:1])
        )
        os.environ["LOCAL_RANK"] = "0"


# --- On a network and a folder of images ----------------------------------------------------------


def _numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


def _lines(_: click.Context, __: click.Parameter, file: IO[str] | None) -> list[str] | None:
    return file and [line.strip() for line in file if line.strip()]


network_option = click.option(
    "--network",
    required=True,
    metavar="NETWORK",
    help="MODEL[:MIX][/RECIPE], as in efficientnet_lite0:mix/agreement; a .safetensors file; "
    "timm/NAME; torchvision/NAME; or a function that makes a torch module, "
    "package.module.function.",
)
images_option = click.option(
    "--images", required=True, type=PATH, help="Folder of images; a subfolder a class, or bare."
)
_FURTHER = (
    click.option("--report", type=PATH, help="HTML file for a report with a figure and examples."),
    click.option("--weights", type=PATH, help="Weights of an external network (.safetensors)."),
    click.option(
        "--classes",
        type=click.File(encoding="utf-8", errors="replace"),
        callback=_lines,
        help="Names of its classes, a line each.",
    ),
    click.option("--field", type=click.IntRange(1, 4096), help="Side of its training crops."),
    click.option("--mean", type=_numbers, metavar="R,G,B", help="Mean of its input, 0 to 1."),
    click.option("--std", type=_numbers, metavar="R,G,B", help="Standard deviation of its input."),
    click.option("--profile", help="Protocol and schedules to use.  [default: the model's own]"),
    override_option,
)
_EXTERNAL = ("weights", "classes", "field", "mean", "std")
"""Options for a network of timm, of torchvision or of a function of one's own."""


def on_network(verb: Callable[..., None]) -> Callable[..., None]:
    """Add the further options of a verb on a network and images, and resolve the network: the verb
    is called with its reference and its run.
    """

    @functools.wraps(verb)
    def command(
        network: str,
        images: Path,
        profile: str | None,
        overrides: tuple[str, ...],
        **options: Any,  # noqa: ANN401 (of an external network, and the verb's own)
    ) -> None:
        from blurpaper.evaluation.folder import fitted, home_profile
        from blurpaper.networks.weights import named
        from blurpaper.runs.store import Store
        from blurpaper.training.networks import reference

        external = {name: options.pop(name) for name in _EXTERNAL}
        sys.path.insert(0, "")  # one's own function may be in the current folder
        spec = named(network, folder=images, **external)
        settings, _ = load_profile(profile or home_profile(spec.model), overrides)
        run = Run(settings, Store())
        found = reference(spec, run)
        if found.description != str(found):
            click.echo(f"network: {found.description}", err=True)
        verb(found, images, fitted(run, found), **options)

    for option in reversed(_FURTHER):
        command = option(command)
    return command


@main.command()
@network_option
@images_option
@click.option(
    "--conditions", default="sharp,D2,D4,D6,D8", help="Names of PSFs, sharp and shake, with commas."
)
@click.option("--scales", default="256", help="128, 256, 512, 256+512, with commas.")
@click.option("--out", type=PATH, help="CSV file for the rows; without it they are only shown.")
@on_network
def evaluate(
    network: Reference,
    images: Path,
    run: Run,
    conditions: str,
    scales: str,
    out: Path | None,
    report: Path | None,
) -> None:
    """Measure a network under blur on a folder of images, by the paper's protocol.

    Folders named by ImageNet's WordNet ids or class names give accuracy; a bare folder gives
    consistency, the share of predictions that equal the one on the sharp image. Broken images are
    named and left out; if they are more than 1 % (of fewer than 100 images: if there is one),
    nothing is measured.

    A network from timm, torchvision or a function of yours has the input and the weights that its
    library says, unless --field, --mean, --std or --weights says otherwise. If its classes are
    neither ImageNet's nor in --classes, they are the subfolders in their order, where there are as
    many.
    """
    from blurpaper.evaluation import folder, results
    from blurpaper.kernels import check_condition

    for path in filter(None, (out, report)):
        check_writable(path)
    names = [check_condition(name) for name in each_once("--conditions", conditions)]
    wanted = each_once("--scales", scales)
    for scale in wanted:
        for one in each_once("--scales", scale, "+"):
            run.profile.protocol.pixels(one)
    found = folder.measure(network, images, names, wanted, run)
    rows = found.rows
    if not found.labelled and any("/" in one for one in found.images.ids):
        click.echo(
            f"no subfolder of {images} is named by a class of {network}; without labels, "
            "consistency is measured: the share of predictions that equal the sharp image's",
            err=True,
        )
    if out:
        results.write(rows, out)
    shown = rows.set_index(["scale", "condition", "metric"])["value"].round(4).unstack()
    order = [(scale, name) for scale in wanted for name in names]
    click.echo(shown.reindex(order)[list(dict.fromkeys(rows["metric"]))].to_string())
    if report:
        from blurpaper.cli.report import Line, write

        write(report, network, images, [Line(str(network), found)], run.profile)
        click.echo(f"report: {report}", err=True)
    say_left_out(images, found.left_out, len(found.images))


@main.command(epilog=ADVICE)
@network_option
@images_option
@click.option(
    "--mix", default="mix", help="A mix by name, or conditions with commas: sharp,D2,D4,shake."
)
@click.option(
    "--unlabelled",
    is_flag=True,
    help="Without labels: learn to predict for the blurred image what the network predicts for the "
    "sharp one.",
)
@click.option("--out", required=True, type=PATH, help="File for the tuned network (.safetensors).")
@click.option(
    "--test", type=PATH, help="Other images for the report.  [default: those it is tuned on]"
)
@on_network
def finetune(
    network: Reference,
    images: Path,
    run: Run,
    mix: str,
    unlabelled: bool,
    out: Path,
    test: Path | None,
    report: Path | None,
) -> None:
    """Make a network robust to blur on a folder of photographs of one's own.

    With labels, the subfolders are named by the network's classes. A run that was stopped is
    resumed. Broken images are named and left out; if they are more than 1 % (of fewer than 100
    images: if there is one), nothing is tuned.
    """
    import time

    from blurpaper.cli import finetune as finetuning
    from blurpaper.networks.external import is_function

    if out.suffix != ".safetensors":
        raise UserError(f"a network is written to a .safetensors file. Got {str(out)!r}.")
    if test and not report:
        raise UserError("--test is what the report is made on: add --report FILE.")
    if test and not test.is_dir():
        raise UserError(f"no folder at {test} (--test).")
    for path in filter(None, (out, report)):
        check_writable(path)
    began = time.monotonic()
    count, steps, left_out = finetuning.finetune(network, images, mix, unlabelled, out, run)
    minutes = (time.monotonic() - began) / 60
    again = f"{network.model} --weights {out}" if is_function(network.model) else str(out)
    hint = f"try: blurpaper evaluate --network {again} --images {images}"
    click.echo(f"{out}: {network} fine-tuned on {count} images in {steps} steps; {hint}")
    say_left_out(images, left_out, count)
    if report:
        from blurpaper.cli.report import before_and_after, write

        labels = "without labels" if unlabelled else "with labels"
        done = (
            f"{count:,} images of {images}, {labels}; blurs: {mix}; {steps:,} steps in "
            f"{minutes:.1f} minutes"
        )
        shown = test or images
        lines = before_and_after(network, finetuning.tuned(network, out), shown, mix, run)
        write(report, network, shown, lines, run.profile, done, seen=test is None)
        click.echo(f"report: {report}", err=True)
