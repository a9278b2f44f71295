"""What to do about blurred images: the best of what was measured for each kind, what it buys, and
what it costs.

Everything comes from results and timings. Where the interval of a gain reaches zero, the advice is
to leave things as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from blurpaper import profile as profiles
from blurpaper import results, segmented, trained
from blurpaper.experiments import Published
from blurpaper.kernels import PSF, SHARP
from blurpaper.networks import NetworkSpec
from blurpaper.networks.weights import released
from blurpaper.page import foremost
from blurpaper.profile import Profile
from blurpaper.provenance import PHOTOS, RUN
from blurpaper.tables import rounded
from blurpaper.treatment import AS_IS

if TYPE_CHECKING:
    import pandas as pd

    from blurpaper.page import Page

LABELS, AGREEMENT, SHAKE = "mix", "mix/agreement", "sharp+shake"
"""The networks that are candidates, as MIX[/RECIPE]."""


# --- What is known --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Evidence:
    """What the advice rests on: the results and timings of one run.

    Attributes:
        source: the published photographs, or this run where there are none.
        rows: an experiment's results, on its first test set.
        training: seconds that making a network took, by ``networks MIX[/RECIPE]`` or ``segmenters
            MIX``, where known.
        deblurring: seconds that an image takes, by treatment, where known.
        device: what that was timed on.

    >>> from blurpaper.page import Page
    >>> known = evidence(Page("emoji", published=True))
    >>> rows = results.select(known.rows("table3"), network="mix", recipe="labels", metric="top5")
    >>> rows["condition"].tolist()[:3], known.deblurring["epll"] < known.deblurring["epll-exact"]
    (['sharp', 'D2', 'D4'], True)
    """

    source: str
    profile: Profile
    rows: Callable[[str], pd.DataFrame]
    training: Mapping[str, float]
    deblurring: Mapping[str, float]
    device: str


def evidence(page: Page) -> Evidence:
    """The published photographs if there are any, else the run that a page is of.

    >>> from blurpaper.page import Page
    >>> known = evidence(Page("emoji", published=True))
    >>> known.source, known.profile.model
    ('photos', 'efficientnet_lite0')
    """
    from_photos = page.photographs("table3") is not None
    source = PHOTOS if from_photos and page.profile.name != PHOTOS else RUN
    settings = profiles.load(PHOTOS) if source == PHOTOS else page.profile

    def rows(experiment: str) -> pd.DataFrame:
        found = page.photographs(experiment) if source == PHOTOS else page.rows(experiment)
        if found is None:
            raise results.ResultsError(
                f"the committed results of profile {PHOTOS} have no {experiment}; publish them anew."
            )
        return foremost(found, settings)

    committed = source == PHOTOS or isinstance(page.store, Published)
    timed = _committed_seconds(settings) if committed else _seconds(page)
    device = next(iter(timed.values()))[1] if timed else ""
    return Evidence(
        source,
        settings,
        rows,
        {name: spent for name, (spent, _) in timed.items()},
        page.seconds().get(source, {}),
        device,
    )


def _committed_seconds(settings: Profile) -> dict[str, tuple[float, str]]:
    """Seconds that networks took to make, and the device, by kind and name without the model."""
    found = {}
    for row in results.published_timings(settings.name):
        if row["kind"] in ("networks", "segmenters") and row["name"].startswith(
            f"{settings.model}:"
        ):
            name = (
                row["name"]
                .removeprefix(f"{settings.model}:")
                .removesuffix(f".{settings.segmentation.data}")
            )
            found[f"{row['kind']} {name}"] = float(row["seconds"]), row["device"]
    return found


def _seconds(page: Page) -> dict[str, tuple[float, str]]:
    """Likewise of the networks that a store has."""
    makers = {
        "networks": (trained, (LABELS, AGREEMENT, SHAKE)),
        "segmenters": (segmented, (LABELS,)),
    }
    found = {}
    for kind, (maker, names) in makers.items():
        for name in names:
            recipe = maker.network_recipe(
                NetworkSpec.parse(f"{page.profile.model}:{name}"), page.profile, page.store
            )
            if page.store.has(recipe):
                stamp = page.store.stamp(recipe)
                found[f"{kind} {name}"] = float(stamp["seconds"]), stamp["device"]
    return found


# --- What to do -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Effect:
    """What doing something changes under one condition: results before and after, and their paired
    difference.

    >>> import pandas as pd
    >>> before, after = pd.Series({"value": 0.80}), pd.Series({"value": 0.82})
    >>> likely, unsure = (pd.Series({"value": 0.02, "low": low, "high": 0.04}) for low in (0.01, -0.01))
    >>> Effect("D4", before, after, likely).helps, Effect("D4", before, after, unsure).helps
    (True, False)
    """

    condition: str
    before: pd.Series
    after: pd.Series
    gain: pd.Series

    @property
    def helps(self) -> bool:
        """Whether more is gained than chance explains."""
        return bool(self.gain["low"] > 0)


@dataclass(frozen=True)
class Choice:
    """One line of advice.

    Attributes:
        images: how the images are blurred.
        does: what would help, and ``command``, how it is done.
        metric: what is told of: ``top5`` or ``miou``.
        effects: under each condition that stands for such images.
        sharp: what it changes on sharp images; None where those are left alone.
        cost: what it takes.
        caution: what may go wrong.
        chapter: where it is measured, by number; ``guide``, how to do it step by step.

    >>> from blurpaper.page import Page
    >>> choice = choices(evidence(Page("emoji", published=True)))[3]
    >>> choice.images, choice.chapter
    ('blurred by a PSF that is known exactly', '06')
    >>> choice.command
    'blurpaper deblur photos/ restored/ --psf D8'
    """

    images: str
    does: str
    command: str
    metric: str
    effects: Sequence[Effect]
    sharp: pd.Series | None
    cost: str
    caution: str = ""
    chapter: str = "03"
    guide: str = ""

    @property
    def helps(self) -> bool:
        return any(effect.helps for effect in self.effects)


def choices(known: Evidence) -> list[Choice]:
    """What to do, a line for each kind of blur that an image may have.

    >>> from blurpaper.page import Page
    >>> for choice in choices(evidence(Page("emoji", published=True))):
    ...     print(choice.images)
    sharp
    blurred a little
    out of focus, by how much nobody knows
    blurred by a PSF that is known exactly
    blurred by a shaking camera
    without labels, and of a kind of your own
    to be labelled pixel by pixel, and out of focus
    """
    model, tuning = (
        known.profile.model,
        "blurpaper finetune --network {} --images photos/ --{}out tuned.safetensors",
    )
    with_labels, without = tuning.format(model, ""), tuning.format(model, "unlabelled --")
    carried = released(model, "mix") is not None
    use = f"blurpaper evaluate --network {model}:mix --images photos/"
    ways = {
        LABELS: ("fine-tune it on the mix of sharp and defocused images, with labels", with_labels),
        AGREEMENT: ("take the network tuned without labels, which comes along", use)
        if carried
        else ("fine-tune it on the mix without labels", without),
        SHAKE: (
            "fine-tune it on camera shake, with labels",
            with_labels.replace("--out", "--mix sharp,shake --out"),
        ),
    }

    def tuned(
        images: str,
        conditions: Sequence[str],
        names: Sequence[str],
        way: tuple[str, str] = ("", ""),
        **more: str,
    ) -> Choice:
        name = _best(known, names, conditions)
        does, command = way if way[0] else ways[name]
        cost = _minutes(
            known, f"networks {name}", "to make; it is there" if command == use else "once"
        )
        effects = [_effect(known, name, condition) for condition in conditions]
        return Choice(
            images,
            does,
            command,
            "top5",
            effects,
            _row(_of(known, name), SHARP, "top5_vs_original"),
            cost,
            **more,
        )

    anew = ("fine-tune your own on your photographs, without labels", without)
    return [
        Choice("sharp", "", use.replace(":mix", ""), "top5", [_as_it_is(known)], None, "nothing"),
        tuned("blurred a little", ("D2", "H4"), (AGREEMENT, LABELS)),
        tuned("out of focus, by how much nobody knows", ("D4", "D8"), (AGREEMENT, LABELS)),
        _deblurred(known),
        tuned("blurred by a shaking camera", ("shake",), (AGREEMENT, LABELS, SHAKE)),
        tuned("without labels, and of a kind of your own", ("D8", "shake"), (AGREEMENT,), anew, guide="22"),
        _segmented(known),
    ]  # fmt: skip


def _best(known: Evidence, names: Sequence[str], conditions: Sequence[str]) -> str:
    """Of networks that were measured, that with the highest mean accuracy under some conditions."""
    means = {}
    for name in names:
        rows = results.select(_of(known, name), metric="top5", condition=list(conditions))
        if len(rows) == len(conditions):
            means[name] = rows["value"].mean()
    if not means:
        raise results.ResultsError(
            f"none of {', '.join(names)} was measured under {', '.join(conditions)}: run chapter 03."
        )
    return max(means, key=means.get)


def _of(known: Evidence, name: str) -> pd.DataFrame:
    """Table 3's rows of one network."""
    mix, _, recipe = name.partition("/")
    recipe = "" if name == "original" else recipe or "labels"
    return results.select(known.rows("table3"), network=mix, recipe=recipe)


def _row(rows: pd.DataFrame, condition: str, metric: str) -> pd.Series:
    return results.select(rows, condition=condition, metric=metric).iloc[0]


def _effect(known: Evidence, name: str, condition: str) -> Effect:
    before, after = (_row(_of(known, one), condition, "top5") for one in ("original", name))
    return Effect(condition, before, after, _row(_of(known, name), condition, "top5_vs_original"))


def _as_it_is(known: Evidence) -> Effect:
    """What the original does on sharp images, with nothing done to it."""
    one = _row(_of(known, "original"), SHARP, "top5")
    return Effect(SHARP, one, one, _with(one, 0.0, 0.0, 0.0))


def _with(row: pd.Series, value: float, low: float, high: float) -> pd.Series:
    """A result with another number."""
    changed = row.copy()
    changed["value"], changed["low"], changed["high"] = value, low, high
    return changed


def _deblurred(known: Evidence) -> Choice:
    psf = known.profile.deblurring.psf
    rows = results.select(known.rows("table5"), network="original", condition=psf)
    before, after = (_row(results.select(rows, input=way), psf, "top5") for way in (AS_IS, "epll"))
    lost = results.select(rows, input=AS_IS, metric="top5_vs_epll").iloc[0]
    gain = _with(lost, -lost["value"], -lost["high"], -lost["low"])
    spent = known.deblurring.get("epll")
    cost = f"{spent:.2g} s an image" if spent else "not timed"
    command = f"blurpaper deblur photos/ restored/ --psf {psf}"
    does = "undo it with EPLL, then ask the network as it is"
    effects = [Effect(psf, before, after, gain)]
    return Choice(
        "blurred by a PSF that is known exactly",
        does,
        command,
        "top5",
        effects,
        None,
        cost,
        _if_mistaken(known),
        "06",
    )


def _if_mistaken(known: Evidence) -> str:
    """What a PSF does that is nearly the true one."""
    true = known.profile.deblurring.psf
    rows = results.select(known.rows("deblurring_psf"), network="original", metric="top5")
    told = [name for name in rows["region"].unique() if name not in ("", true)]
    wrong = {name: abs(PSF.parse(name).size - PSF.parse(true).size) for name in told}
    near = [name for name, off in wrong.items() if off == min(wrong.values())]
    naive = [
        results.select(rows, region=name, input=f"epll as {name}")["value"].item() for name in near
    ]
    wary = [results.select(rows, region=name)["value"].max() for name in near]
    left = results.select(rows, region="")["value"].item()
    off = min(wrong.values())
    return (
        f"With a radius wrong by {off:g} pixel{'' if off == 1 else 's'}, top-5 accuracy is {_between(naive)}, where without "
        f"deblurring it is {_between([left])} on the same fewer images; if more noise is reckoned with, {_between(wary)} at best."
    )


def _segmented(known: Evidence) -> Choice:
    rows = results.select(known.rows("table6"), region="all")
    mix, original = (results.select(rows, network=one) for one in ("mix", "original"))
    effects = [
        Effect(
            one,
            _row(original, one, "miou"),
            _row(mix, one, "miou"),
            _row(mix, one, "miou_vs_original"),
        )
        for one in ("D4", "D8")
    ]
    cost = _minutes(known, "segmenters mix", "once")
    command = f"blurpaper train mix --segmentation --profile {known.profile.name}"
    does = "fine-tune the network and its per-pixel classifier on the mix"
    images, sharp = (
        "to be labelled pixel by pixel, and out of focus",
        _row(mix, SHARP, "miou_vs_original"),
    )
    return Choice(images, does, command, "miou", effects, sharp, cost, chapter="07")


def _minutes(known: Evidence, name: str, when: str) -> str:
    spent = known.training.get(name)
    return f"{rounded(spent / 60, 1)} min {when}" if spent is not None else "not timed"


def used(found: Sequence[Choice]) -> pd.DataFrame:
    """The results that the advice rests on, each once.

    >>> from blurpaper.page import Page
    >>> rows = used(choices(evidence(Page("emoji", published=True))))
    >>> sorted(set(rows["experiment"])), sorted(set(rows["metric"]))
    (['table3', 'table5', 'table6'], ['miou', 'miou_vs_original', 'top5', 'top5_vs_epll', 'top5_vs_original'])
    """
    import pandas as pd

    rows = [
        one
        for choice in found
        for effect in choice.effects
        for one in (effect.before, effect.after, effect.gain)
    ]
    rows += [choice.sharp for choice in found if choice.sharp is not None]
    return pd.DataFrame(rows).drop_duplicates(list(results.KEY)).reset_index(drop=True)


def _between(values: Sequence[float]) -> str:
    """From the least to the greatest of some shares, in per cent."""
    return (
        " to ".join(dict.fromkeys(rounded(100 * value, 0) for value in (min(values), max(values))))
        + " %"
    )
