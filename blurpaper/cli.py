"""The command line: one verb a command, each a few lines over the library. What is imported here must be light."""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from typing import Any

import click

from blurpaper import __version__
from blurpaper.gpus import GPUS

EXPECTED_ERRORS = (
    "ProfileError", "StoreError", "TrainingError", "WeightsError", "ImageError", "MissingDataError", "ResultsError", "BookError",
    "FetchError",
)  # fmt: skip
"""Errors whose message is a sentence for the user; they are told by name, so that their modules need not be imported."""

CANNOT_WRITE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
"""A full disk, a full quota, a file larger than is allowed, a disk that is only read."""


class Command(click.Group):
    """Turns expected errors into one sentence and exit status 1, and an interrupt into how to go on."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("\nstopped; what was finished is kept: give the same command again to go on.", err=True)
            ctx.exit(130)
        except Exception as error:
            names = {kind.__name__ for kind in type(error).__mro__}
            if "OutOfMemoryError" in names:
                raise click.ClickException(
                    "the GPU has too little memory: make batches smaller (-p evaluation.batch=N, or batch of the section that "
                    "trains; the run with --dry-run says what is needed), or compute elsewhere (-p compute.device=cpu)."
                ) from None
            if names & set(EXPECTED_ERRORS) or type(error) in (ValueError, RuntimeError):
                raise click.ClickException(str(error)) from None
            if isinstance(error, OSError) and error.errno in CANNOT_WRITE:
                where = f" {error.filename}" if error.filename else ""
                raise click.ClickException(
                    f"cannot write{where}: {error.strerror}; free some space or name another place."
                ) from None
            raise


profile_option = click.option(
    "--profile", default="emoji", show_default=True, help="emoji, photos, imagenet, smoke, or a YAML file."
)
override_option = click.option(
    "-p", "overrides", multiple=True, metavar="FIELD=VALUE", help="Override a field of the profile: -p protocol.jitter=[384]."
)
cache_option = click.option(
    "--cache-gb",
    type=click.FloatRange(min=0),
    help="Gigabytes of resized photographs to keep for the next run, 0 for none; short for -p compute.cache_gb=...",
)

network_option = click.option(
    "--network", required=True, metavar="NETWORK", help="MODEL[:MIX], as in efficientnet_lite0:mix, or a .safetensors file."
)
images_option = click.option(
    "--images", required=True, type=click.Path(path_type=Path), help="Folder of images; a subfolder a class, or bare."
)


@click.group(cls=Command, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__)
def main() -> None:
    """Blur and recognition: a paper that can be read, re-run and used.

    Start with `blurpaper run`: it makes the embedded data, trains and measures the networks and builds the book. Everything
    computed is kept in a store ($BLURPAPER_STORE, else your cache folder) and loaded the next time.
    """


def _profile(name: str, overrides: tuple[str, ...] = (), cache_gb: float | None = None) -> tuple[Any, dict[str, Any]]:
    from blurpaper import profile

    parsed = profile.parse_overrides(overrides)
    if cache_gb is not None:
        parsed["compute.cache_gb"] = cache_gb
    return profile.load(name, parsed), parsed


def _need_data(profile: Any) -> None:  # noqa: ANN401
    from blurpaper import data, deblurred, results, segmented

    deblurred.check(profile)
    segmented.check(profile)
    if missing := data.missing(profile):
        click.echo("\n".join(missing), err=True)
        click.echo("Nothing was run.", err=True)
        if (results.PUBLISHED / f"{profile.name}.csv").is_file():
            click.echo(f"To see the published results instead: blurpaper run --published --profile {profile.name}", err=True)
        sys.exit(2)


@main.command()
@profile_option
@override_option
@cache_option
@click.option("--published", is_flag=True, help="Draw the book from the committed results, computing nothing.")
@click.option("--dry-run", is_flag=True, help="Say what would be done and what it would cost, and do nothing.")
@click.option(
    "--gpu", type=click.Choice(list(GPUS), case_sensitive=False), default="A100", show_default=True, help="For --dry-run."
)
def run(profile: str, overrides: tuple[str, ...], cache_gb: float | None, published: bool, dry_run: bool, gpu: str) -> None:
    """Execute every chapter, then build the book. What is done already is loaded, not redone."""
    from blurpaper import book, execution
    from blurpaper.store import Store

    settings, parsed = _profile(profile, overrides, cache_gb)
    chapters = book.chapters()
    if dry_run:
        from blurpaper import plan

        click.echo(plan.describe(settings, chapters, gpu))
        return
    if not published:
        _need_data(settings)
    whole = execution.Run(settings, parsed, profile, Store(), published)
    for number, chapter in enumerate(chapters, 1):
        click.echo(f"[{number}/{len(chapters)}] {chapter}", err=True)
        execution.execute(chapter, whole)
    click.echo(f"[book] {book.build(settings)}")


@main.command()
@click.argument("name")
@profile_option
@override_option
@cache_option
@click.option("--published", is_flag=True, help="Draw it from the committed results, computing nothing.")
def chapter(name: str, profile: str, overrides: tuple[str, ...], cache_gb: float | None, published: bool) -> None:
    """Execute one chapter, NAME being its number or name (02, pretrained)."""
    from blurpaper import book, execution
    from blurpaper.store import Store

    settings, parsed = _profile(profile, overrides, cache_gb)
    whole = book.chapter_named(name)
    if not published:
        _need_data(settings)
    click.echo(execution.execute(whole, execution.Run(settings, parsed, profile, Store(), published)))


@main.command()
@click.argument("spec")
@profile_option
@override_option
@click.option("--segmentation", is_flag=True, help="The network that labels every pixel of the profile's scenes.")
def train(spec: str, profile: str, overrides: tuple[str, ...], segmentation: bool) -> None:
    """Train the network SPEC, as in small_vgg:original, and keep it in the store.

    On several GPUs: torchrun --nproc-per-node N -m blurpaper train SPEC --profile P. To have torchrun start them all again
    from the last checkpoint when one dies, set TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 and add --max-restarts 3.
    """
    _take_own_gpu()
    from blurpaper import needs, processes, segmented, trained
    from blurpaper.networks import NetworkSpec
    from blurpaper.store import Store

    settings, _ = _profile(profile, overrides)
    parsed = NetworkSpec.parse(spec, settings.model)
    if needs.is_published(parsed) and not segmentation:
        click.echo(f"{parsed} has its weights from elsewhere: there is nothing to train")
        return
    _need_data(settings)
    store = Store()
    (segmented if segmentation else trained).network(parsed, settings, store)
    if processes.number() == 0:
        click.echo(f"{parsed} is in {store.root}")
    if processes.count() > 1:
        from torch import distributed

        distributed.destroy_process_group()


def _take_own_gpu() -> None:
    """Let each of torchrun's processes see one GPU, its own, so that all its threads use that one."""
    import os

    local = os.environ.get("LOCAL_RANK")
    if local is not None and "WORLD_SIZE" in os.environ:
        seen = os.environ.get("CUDA_VISIBLE_DEVICES")
        # Beyond the list there is none for it; an empty list hides them all.
        os.environ["CUDA_VISIBLE_DEVICES"] = local if seen is None else ",".join(seen.split(",")[int(local) :][:1])
        os.environ["LOCAL_RANK"] = "0"


@main.command()
@network_option
@images_option
@click.option("--conditions", default="sharp,D2,D4,D6,D8", show_default=True, help="Names of PSFs, sharp and shake, with commas.")
@click.option("--scales", default="256", show_default=True, help="128, 256, 512, 256+512, with commas.")
@click.option("--out", type=click.Path(path_type=Path), help="CSV file for the rows; without it they are only shown.")
@click.option("--profile", default=None, help="Protocol to use.  [default: the model's own]")
@override_option
@cache_option
def evaluate(
    network: str,
    images: Path,
    conditions: str,
    scales: str,
    out: Path | None,
    profile: str | None,
    overrides: tuple[str, ...],
    cache_gb: float | None,
) -> None:
    """Measure a network under blur on a folder of images, by the paper's protocol.

    Folders named by ImageNet's WordNet ids or class names give accuracy; a bare folder gives agreement with the prediction
    on the sharp image. Broken images are named and left out; if they are more than 1 % (of fewer than 100 images: if there is
    one), nothing is measured.
    """
    from blurpaper import evaluation, kernels, results
    from blurpaper.networks.released import NetworkFile, named
    from blurpaper.store import Store

    spec = named(network)
    if isinstance(spec, NetworkFile):
        click.echo(f"network: {spec}", err=True)
    settings, _ = _profile(profile or evaluation.home_profile(spec.model), overrides, cache_gb)
    names = [kernels.check_condition(name.strip()) for name in conditions.split(",")]
    wanted = [scale.strip() for scale in scales.split(",")]
    for scale in wanted:
        for one in scale.split("+"):
            settings.protocol.pixels(one)
    for option, given in (("--conditions", names), ("--scales", wanted), *(("--scales", scale.split("+")) for scale in wanted)):
        if len(set(given)) < len(given):
            raise ValueError(f"each of {option} is named once. Got {', '.join(given)}.")
    rows, left_out = evaluation.evaluate(spec, images, names, wanted, settings, Store())
    if out:
        results.write(rows, out)
    shown = rows.assign(value=rows["value"].round(4)).pivot(index=["scale", "condition"], columns="metric", values="value")
    order = [(scale, name) for scale in wanted for name in names]
    click.echo(shown.reindex(order)[list(dict.fromkeys(rows["metric"]))].to_string())
    _say_left_out(left_out, len(left_out) + int(rows["n"].iloc[0]))


def _say_left_out(sentences: list[str], count: int) -> None:
    """Tell which of so many images were left out, the first ten by name."""
    for sentence in sentences[:10]:
        click.echo(f"left out: {sentence}", err=True)
    if sentences:
        first = " (the first 10 are named)" if len(sentences) > 10 else ""
        click.echo(f"{len(sentences):,} of {count:,} images cannot be read and were left out{first}", err=True)


@main.command()
@network_option
@images_option
@click.option("--mix", default="mix", show_default=True, help="A mix by name, or conditions with commas: sharp,D2,D4,shake.")
@click.option("--unlabelled", is_flag=True, help="Learn to see the blurred image as the network sees the sharp one.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="File for the tuned network (.safetensors).")
@click.option("--profile", default=None, help="Protocol and schedule to use.  [default: the model's own]")
@override_option
def finetune(
    network: str, images: Path, mix: str, unlabelled: bool, out: Path, profile: str | None, overrides: tuple[str, ...]
) -> None:
    """Make a network robust to blur on a folder of photographs of one's own.

    With labels, the subfolders are named by the network's classes. A run that was stopped goes on where it was.
    Broken images are named and left out; if they are more than 1 % (of fewer than 100 images: if there is one), nothing is tuned.
    """
    from blurpaper import evaluation, finetuning
    from blurpaper.networks.released import named
    from blurpaper.store import Store

    start = named(network)
    settings, _ = _profile(profile or evaluation.home_profile(start.model), overrides)
    if out.suffix != ".safetensors":
        raise ValueError(f"a network is written to a .safetensors file. Got {str(out)!r}.")
    count, steps, left_out = finetuning.finetune(start, images, mix, unlabelled, out, settings, Store())
    click.echo(
        f"{out}: {start} fine-tuned on {count} images in {steps} steps; try: blurpaper evaluate --network {out} --images {images}"
    )
    _say_left_out(left_out, len(left_out) + count)


@main.command()
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--psf", required=True, help="D8, H8, V4, G4, shake:17; shake: a test kernel an image.")
@click.option("--pixels", is_flag=True, help="Sizes in pixels of the image itself, not of its smaller side scaled to 384.")
def blur(source: Path, target: Path, psf: str, pixels: bool) -> None:
    """Blur an image, or every image of a folder; sizes speak of an image whose smaller side is 384."""
    from blurpaper import files

    _say(files.blur(source, target, psf, pixels), "blurred", target)


@main.command()
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--psf", required=True, help="What it was blurred with: D8, H8, V4, G4, shake:17; shake for a whole folder.")
@click.option(
    "--method", default="epll", show_default=True, help="epll, epll-exact, total-variation, gradient, wiener, richardson-lucy."
)
@click.option("--noise", type=float, help="Of the image, in grey levels.  [default: that of rounding to 8 bits; more for JPEG]")
@click.option("--prior", type=click.Path(path_type=Path), help="A .safetensors file of EPLL's.  [default: one comes along]")
@click.option("--pixels", is_flag=True, help="Sizes in pixels of the image itself, not of its smaller side scaled to 384.")
def deblur(source: Path, target: Path, psf: str, method: str, noise: float | None, prior: Path | None, pixels: bool) -> None:
    """Deblur an image, or every image of a folder, that was blurred with a known PSF.

    Best from a file without loss, such as PNG: what JPEG leaves out is noise that must not be magnified. What it was is told
    from the file; of WebP it is not known, and --noise 1 a fair guess.
    """
    from blurpaper import deblurring, files

    mixture = deblurring.priors.load(prior) if prior else None
    assumed = files.assumed_noise(source) if noise is None and source.is_file() else deblurring.ROUNDING
    outcome = files.deblur(source, target, psf, method, noise, mixture, pixels)
    if assumed > deblurring.ROUNDING:
        click.echo(f"{source} is a JPEG: noise of {assumed:.1f} grey levels was assumed in it (--noise sets another)", err=True)
    elif noise is None and source.is_dir():
        click.echo("noise was assumed as each file's format leaves it (--noise sets one for all)", err=True)
    _say(outcome, "deblurred", target)


def _say(outcome: tuple[int, list[str]], verb: str, target: Path) -> None:
    """Tell how many images were written and which were not, and exit."""
    done, broken = outcome
    for sentence in broken:
        click.echo(f"left out: {sentence}", err=True)
    click.echo(f"{done} image{'' if done == 1 else 's'} {verb} to {target}")
    sys.exit(1 if broken else 0)


@main.command("new-chapter")
@click.argument("name")
def new_chapter(name: str) -> None:
    """Begin a chapter that runs as it is, notebooks/NN_NAME.py, and list it in the table of contents."""
    from blurpaper import new_chapter as new

    path = new.create(name)
    click.echo(f"{path}; try: blurpaper chapter {path.stem[:2]} --profile smoke")


@main.command()
@profile_option
@override_option
def book(profile: str, overrides: tuple[str, ...]) -> None:
    """Build the book from the chapters executed so far."""
    from blurpaper import book as books

    settings, _ = _profile(profile, overrides)
    click.echo(books.build(settings))


@main.command()
@profile_option
@cache_option
def publish(profile: str, cache_gb: float | None) -> None:
    """Copy the results of a profile from the store to results/, to be committed."""
    from blurpaper import book, publishing
    from blurpaper.store import Store

    book.need_checkout("publish")
    settings, _ = _profile(profile, cache_gb=cache_gb)
    _need_data(settings)
    for path in publishing.publish(settings, Store()):
        click.echo(path)


@main.command()
@profile_option
@click.option("--published", is_flag=True, help="Check the committed results instead of the chapters executed here.")
@click.option("--json", "as_json", is_flag=True, help="Print the verdicts on the claims as data, and what is wrong as errors.")
def check(profile: str, published: bool, as_json: bool) -> None:
    """See that the book holds: chapters executed, results as new as their code, claims decided, no number typed in prose.

    Prints a line for each failing and exits 1 if there is one.
    """
    import json

    from blurpaper import checking

    settings, _ = _profile(profile)
    problems, claims = checking.check(settings, published)
    if as_json:
        click.echo(json.dumps(claims, indent=1, allow_nan=False))
    for sentence in problems:
        click.echo(sentence, err=as_json)
    click.echo(checking.outcome(len(problems), len(claims), settings, published), err=as_json)
    sys.exit(1 if problems else 0)


@main.command()
@click.argument("a", metavar="A.csv", type=click.Path(path_type=Path))
@click.argument("b", metavar="B.csv", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="The same as data, with all rows.")
@click.option("--all", "everything", is_flag=True, help="Show every row that moved, not the first 40.")
def compare(a: Path, b: Path, as_json: bool, everything: bool) -> None:
    """Compare two tables of results row by row, and say what moved beyond its interval.

    A difference is no error: the exit status is 0 if both could be read.
    """
    import json

    from blurpaper import comparing

    compared = comparing.compare(comparing.read(a), comparing.read(b))
    if as_json:
        click.echo(json.dumps({"a": str(a), "b": str(b), **comparing.as_data(compared)}, indent=1, allow_nan=False))
    else:
        click.echo(f"A: {a}\nB: {b}\n{comparing.told(compared, everything)}")


@main.group("data")
def data_group() -> None:
    """List, locate, fetch and verify sets of photographs."""


@data_group.command("list")
def data_list() -> None:
    """Say of every known set what it is, whether it is there and how to get it."""
    from blurpaper.data import inventory

    click.echo("\n".join(inventory.overview()))


@data_group.command("where")
@click.argument("name", required=False)
def data_where(name: str | None) -> None:
    """Print the folder that photographs, or those of the set NAME, are looked for in."""
    from blurpaper.data import sources
    from blurpaper.folders import data_folder

    click.echo(data_folder().absolute() / (sources.named(name).name if name else ""))


@data_group.command("fetch")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
def data_fetch(names: tuple[str, ...]) -> None:
    """Download sets of photographs; one that is there is left alone, one that was cut off is taken up again."""
    from blurpaper.data import fetching, sources

    for source in [sources.named(name) for name in names]:
        click.echo(fetching.fetch(source.name))


@data_group.command("verify")
@click.argument("names", metavar="[NAME]...", nargs=-1)
def data_verify(names: tuple[str, ...]) -> None:
    """Read every image of the sets named, or of all that are there; exit 1 if one is missing or broken."""
    from blurpaper.data import inventory
    from blurpaper.folders import data_folder

    broken = False
    for name in names or inventory.found():
        problems = inventory.verify(name)
        click.echo("\n".join(problems) or f"{name} is whole.", err=bool(problems))
        broken = broken or bool(problems)
    if not names and not inventory.found():
        click.echo(f"no set of photographs is in {data_folder().absolute()}: `blurpaper data list` says what there is.")
    sys.exit(1 if broken else 0)


@main.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--quick", is_flag=True, help="Few images and rounds, to see that everything works; the numbers mean little.")
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as data; the tables then go to standard error.")
@click.option("--out", type=click.Path(path_type=Path), help="JSON file whose numbers these replace, each benchmark its own.")
def bench(names: tuple[str, ...], quick: bool, as_json: bool, out: Path | None) -> None:
    """Measure how fast this is, side by side with the best of others, on this machine; it should have nothing else to do.

    NAME is blurring, limits, table1, finetuning, deblurring, priors, growth or starting, all of them without one, or whole,
    which runs the embedded profiles from cold and takes most of an hour. Peers that are not installed are left out:
    pip install -e '.[bench]'.
    """
    import json

    from blurpaper import speed

    def show(name: str, rows: list[dict[str, object]]) -> None:
        click.echo(f"\n{name}\n{speed.as_text(rows)}", err=as_json)

    found = speed.bench(names, quick, show)
    if out:
        speed.keep(found, out)
    if as_json:
        click.echo(json.dumps(found, indent=1))


@main.command()
def doctor() -> None:
    """Say what this installation has: device, precision, store, data, weights; exit 1 if something needed is missing."""
    from blurpaper import doctor as doctors

    lines, healthy = doctors.examine()
    click.echo("\n".join(lines))
    sys.exit(0 if healthy else 1)


@main.command()
@click.option("--store", is_flag=True, help="Also remove the store: trained networks, predictions, embedded data.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def clean(store: bool, yes: bool) -> None:
    """Remove executed chapters and built books; computed results stay in the store unless --store is given."""
    import shutil

    from blurpaper import book
    from blurpaper.store import default_root

    folders = [book.build_root(), *([default_root()] if store else [])]
    if book.is_installed() and folders[0].exists() and not yes:  # the current folder may be anybody's
        click.confirm(f"remove {folders[0]}, whatever is in it?", abort=True)
    if store and not yes:
        click.confirm(f"remove everything computed so far, in {default_root()}?", abort=True)
    for folder in folders:
        if folder.exists():
            shutil.rmtree(folder)
            click.echo(f"removed {folder}")
