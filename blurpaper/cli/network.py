"""Networks: train one, measure one under blur, make one robust."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from blurpaper.cli.base import (
    load_profile,
    main,
    need_data,
    override_option,
    profile_option,
    say_left_out,
    say_passed_over,
)
from blurpaper.runs import Run
from blurpaper.runs.files import UserError

if TYPE_CHECKING:
    from blurpaper.networks import Reference

network_option = click.option(
    "--network",
    required=True,
    metavar="NETWORK",
    help="MODEL[:MIX][/RECIPE], as in efficientnet_lite0:mix/agreement; a .safetensors file; timm/NAME; torchvision/NAME; or a function that makes "
    "a torch module, package.module.function.",
)
images_option = click.option(
    "--images",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder of images; a subfolder a class, or bare.",
)
report_option = click.option(
    "--report",
    type=click.Path(path_type=Path),
    help="HTML file for a report with a figure and examples.",
)


def _numbers(text: str) -> list[float]:
    numbers = [float(part) for part in text.split(",")]
    return numbers * 3 if len(numbers) == 1 else numbers


def _names(_: click.Context, __: click.Parameter, file: IO[str] | None) -> list[str] | None:
    return file and [line.strip() for line in file if line.strip()]


def external_options(command: Callable) -> Callable:
    """Add what can be said of a network from timm, torchvision or a function of one's own."""
    text = click.File(encoding="utf-8", errors="replace")
    for option in (
        click.option("--std", type=_numbers, metavar="R,G,B", help="Its standard deviation."),
        click.option("--mean", type=_numbers, metavar="R,G,B", help="Its mean, levels 0 to 1."),
        click.option("--field", type=click.IntRange(1, 4096), help="Side of its training crops."),
        click.option(
            "--classes", type=text, callback=_names, help="Its classes' names, a line each."
        ),
        click.option(
            "--weights",
            type=click.Path(path_type=Path),
            help="Weights of a network from elsewhere (.safetensors).",
        ),
    ):
        command = option(command)
    return command


def _run_of(
    network: str,
    images: Path,
    profile: str | None,
    overrides: tuple[str, ...],
    said: dict[str, Any],
) -> tuple[Reference, Run]:
    """The network that a user names, and the run for it; what the network is is reported."""
    from blurpaper.evaluation.folder import fitted, home_profile
    from blurpaper.networks.weights import named
    from blurpaper.runs.store import Store
    from blurpaper.training.networks import reference

    sys.path.insert(0, "")  # one's own function may be in the current folder
    spec = named(network, folder=images, **said)
    settings, _ = load_profile(profile or home_profile(spec.model), overrides)
    run = Run(settings, Store())
    found = reference(spec, run)
    click.echo(f"network: {found.description}", err=True)
    return found, fitted(run, found)


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
    if is_published(parsed):
        trained(parsed, run).load()
        click.echo(f"the weights of {parsed} are published: there is nothing to train")
        return
    need_data(settings)
    if parsed.model == SEGMENTATION:
        segmenter(replace(parsed, model=settings.model), run).load()
    else:
        trained(parsed, run).load()
    if devices.number() == 0:
        click.echo(f"{parsed} is in {run.store.root}")
    if devices.count() > 1:
        from torch import distributed

        distributed.destroy_process_group()


def _take_own_gpu() -> None:
    """Let each of torchrun's processes see one GPU, its own, so that all its threads use that one."""
    import os

    local = os.environ.get("LOCAL_RANK")
    if local is not None and "WORLD_SIZE" in os.environ:
        seen = os.environ.get("CUDA_VISIBLE_DEVICES")
        # Beyond the list there is none for it; an empty list hides them all.
        os.environ["CUDA_VISIBLE_DEVICES"] = (
            local if seen is None else ",".join(seen.split(",")[int(local) :][:1])
        )
        os.environ["LOCAL_RANK"] = "0"


@main.command()
@network_option
@images_option
@click.option(
    "--conditions",
    default="sharp,D2,D4,D6,D8",
    show_default=True,
    help="Names of PSFs, sharp and shake, with commas.",
)
@click.option(
    "--scales", default="256", show_default=True, help="128, 256, 512, 256+512, with commas."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="CSV file for the rows; without it they are only shown.",
)
@report_option
@external_options
@click.option("--profile", default=None, help="Protocol to use.  [default: the model's own]")
@override_option
def evaluate(
    network: str,
    images: Path,
    conditions: str,
    scales: str,
    out: Path | None,
    report: Path | None,
    profile: str | None,
    overrides: tuple[str, ...],
    **said: Any,  # noqa: ANN401 (of a network from elsewhere)
) -> None:
    """Measure a network under blur on a folder of images, by the paper's protocol.

    Folders named by ImageNet's WordNet ids or class names give accuracy; a bare folder gives
    agreement with the prediction on the sharp image. Broken images are named and left out; if they
    are more than 1 % (of fewer than 100 images: if there is one), nothing is measured.

    A network from timm, torchvision or a function of yours has the input and the weights that its
    library says, unless --field, --mean, --std or --weights says otherwise. If its classes are
    neither ImageNet's nor in --classes, they are the subfolders in their order, where there are as
    many.
    """
    from blurpaper import kernels
    from blurpaper.evaluation import folder, results
    from blurpaper.runs.files import check_writable

    for path in filter(None, (out, report)):
        check_writable(path)
    measured, run = _run_of(network, images, profile, overrides, said)
    names = [kernels.check_condition(name.strip()) for name in conditions.split(",")]
    wanted = [scale.strip() for scale in scales.split(",")]
    for scale in wanted:
        for one in scale.split("+"):
            run.profile.protocol.pixels(one)
    for option, given in (
        ("--conditions", names),
        ("--scales", wanted),
        *(("--scales", scale.split("+")) for scale in wanted),
    ):
        if len(set(given)) < len(given):
            raise UserError(f"each of {option} is named once. Got {', '.join(given)}.")
    found = folder.measure(measured, images, names, wanted, run)
    rows, left_out = found.rows, found.left_out
    if not found.labelled and any("/" in one for one in found.images.ids):
        click.echo(
            f"no subfolder of {images} is named by a class of {measured}; here is how often it agrees "
            "with itself on the sharp image",
            err=True,
        )
    if out:
        results.write(rows, out)
    shown = rows.assign(value=rows["value"].round(4)).pivot(
        index=["scale", "condition"], columns="metric", values="value"
    )
    order = [(scale, name) for scale in wanted for name in names]
    click.echo(shown.reindex(order)[list(dict.fromkeys(rows["metric"]))].to_string())
    if report:
        from blurpaper.cli import report as reports

        reports.evaluated(report, measured, images, found, run.profile)
        click.echo(f"report: {report}", err=True)
    say_left_out(left_out, len(left_out) + int(rows["n"].iloc[0]))
    say_passed_over(images)


@main.command()
@network_option
@images_option
@click.option(
    "--mix",
    default="mix",
    show_default=True,
    help="A mix by name, or conditions with commas: sharp,D2,D4,shake.",
)
@click.option(
    "--unlabelled",
    is_flag=True,
    help="Learn to see the blurred image as the network sees the sharp one.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="File for the tuned network (.safetensors).",
)
@report_option
@click.option(
    "--test",
    type=click.Path(path_type=Path),
    help="Other images for the report.  [default: those it is tuned on]",
)
@external_options
@click.option(
    "--profile", default=None, help="Protocol and schedule to use.  [default: the model's own]"
)
@override_option
def finetune(
    network: str,
    images: Path,
    mix: str,
    unlabelled: bool,
    out: Path,
    report: Path | None,
    test: Path | None,
    profile: str | None,
    overrides: tuple[str, ...],
    **said: Any,  # noqa: ANN401 (of a network from elsewhere)
) -> None:
    """Make a network robust to blur on a folder of photographs of one's own.

    With labels, the subfolders are named by the network's classes. A run that was stopped goes on
    where it was. Broken images are named and left out; if they are more than 1 % (of fewer than 100
    images: if there is one), nothing is tuned.
    """
    import time

    from blurpaper.cli import finetune as finetuning
    from blurpaper.networks.external import is_function
    from blurpaper.runs.files import check_writable

    start, run = _run_of(network, images, profile, overrides, said)
    if out.suffix != ".safetensors":
        raise UserError(f"a network is written to a .safetensors file. Got {str(out)!r}.")
    if test and not report:
        raise UserError("--test is what the report is made on: add --report FILE.")
    if test and not test.is_dir():
        raise UserError(f"no folder at {test} (--test).")
    for path in filter(None, (out, report)):
        check_writable(path)
    began = time.monotonic()
    count, steps, left_out = finetuning.finetune(start, images, mix, unlabelled, out, run)
    minutes = (time.monotonic() - began) / 60
    again = f"{start.model} --weights {out}" if is_function(start.model) else str(out)
    hint = f"try: blurpaper evaluate --network {again} --images {images}"
    click.echo(f"{out}: {start} fine-tuned on {count} images in {steps} steps; {hint}")
    say_left_out(left_out, len(left_out) + count)
    say_passed_over(images)
    if report:
        from blurpaper.cli import report as reports

        how = (
            "without labels, to agree with itself on the sharp images"
            if unlabelled
            else "with labels"
        )
        done = f"{count:,} images of {images}, {how}; blurs: {mix}; {steps:,} steps in {minutes:.1f} minutes"
        reports.tuned(
            report,
            start,
            finetuning.tuned(start, out),
            test or images,
            test is None,
            mix,
            run,
            done,
        )
        click.echo(f"report: {report}", err=True)
