"""Test-time adaptation: a network that adapts to the images that it is applied to, as they come in
batches, without labels (Schneider et al. 2020; Wang et al. 2021; Niu et al. 2022).

Every method changes batch normalisation alone: its statistics, or also its scales and shifts. The
images are seen as the protocol has them (Sec. 3), each by the square in its centre at scale 256, so
that images of any shape share a batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd
import torch
from torch.nn import functional

from blurpaper import data
from blurpaper.data.images import images_of, same_shape
from blurpaper.data.sets import ImageSet, Subset
from blurpaper.evaluation import metrics, predictions
from blurpaper.evaluation.protocol import blurred, network_input
from blurpaper.kernels import SHARP
from blurpaper.networks import NetworkSpec, Reference
from blurpaper.networks.base import Classifier, MixedNorm, with_mixed_norms
from blurpaper.runs import Run
from blurpaper.runs.devices import autocast, device_of
from blurpaper.runs.profile import Compute, Profile
from blurpaper.runs.progress import progress
from blurpaper.runs.randomness import stream
from blurpaper.runs.store import Artifact
from blurpaper.training.networks import Trained, trained

AS_IS, BATCH_NORM, TENT, EATA = "as is", "batch-norm", "TENT", "EATA"
"""Kinds of methods: no adaptation, statistics alone, and two by gradients."""

BATCH = 50
"""Images that are seen at a time, if nothing else is said."""
RATE, MOMENTUM = 2.5e-4, 0.9
"""Of the gradient descent of TENT and EATA, as their authors have them for ImageNet-C."""
ENTROPY_MARGIN, SIMILARITY_MARGIN, MEMORY, ANCHOR = 0.4, 0.05, 0.9, 2000.0
"""Of EATA (Niu et al. 2022): the largest entropy of an image that is learnt from, as a share of the
largest possible; the largest cosine of its prediction with the mean of earlier ones; the weight of
the old mean in the new; and the weight of the anchor.
"""


CONDITIONS = (SHARP, "D2", "D4", "D6", "D8", "H8", "shake")
"""Conditions of the table, in the order in which a network that is not reset meets them."""
_FEW = (SHARP, "D4", "D8")
"""Conditions of the variants."""


@dataclass(frozen=True)
class Method:
    """A method of adaptation and its settings.

    Attributes:
        kind: one of the four above.
        source: images that the network's own statistics of batch normalisation count as, N of
            Schneider et al.; the batch's are mixed with them in proportion. 0 takes the batch's
            alone.
        batch: images that are seen at a time.
        continual: keeps what it learnt under one condition for the next; otherwise the network is
            reset.

    >>> str(Method("batch-norm", source=16, batch=50))
    'batch-norm, N = 16, batches of 50'
    """

    kind: str = AS_IS
    source: int = 0
    batch: int = BATCH
    continual: bool = False

    def __str__(self) -> str:
        """Its word in the column ``parameter`` of results."""
        if self.kind == AS_IS:
            return self.kind
        settings = f"{self.kind}, N = {self.source}, batches of {self.batch}"
        return settings + (", continual" if self.continual else "")

    @property
    def learns(self) -> bool:
        """Whether it changes parameters, so that images depend on those before them."""
        return self.kind in (TENT, EATA)

    @property
    def has_chance(self) -> bool:
        """Whether the order of the images changes what it makes of one."""
        return self.learns or (self.kind == BATCH_NORM and self.batch > 1)

    @property
    def conditions(self) -> Sequence[str]:
        """Those it is measured under: all, or a few for variants of other methods."""
        return CONDITIONS if self in (*MAIN, *CONTINUAL) else _FEW


MAIN = (Method(), Method(BATCH_NORM), Method(BATCH_NORM, 256), Method(TENT), Method(EATA))
CONTINUAL = (Method(TENT, continual=True), Method(EATA, continual=True))
METHODS = (
    *MAIN,
    *CONTINUAL,
    Method(BATCH_NORM, 16),
    *(Method(BATCH_NORM, source, batch) for batch in (16, 1) for source in (0, 16, 256)),
    Method(TENT, 256),
)
"""All that are measured on the network that has not been fine-tuned."""


class Adapted:
    """A network that adapts by a method to the batches that it is given, in their order.

    Args:
        network: changed in place; as it is loaded, folded or plain.
        anchor: for EATA, the Fisher information of each parameter, by :func:`fisher`.

    Raises:
        UserError: if the method adapts and the network has no batch normalisation.
    """

    def __init__(
        self,
        network: Classifier,
        method: Method,
        compute: Compute,
        anchor: Mapping[str, torch.Tensor] | None = None,
    ) -> None:
        self.network, self.method, self.compute = network.eval(), method, compute
        self.device = device_of(compute)
        if method.kind != AS_IS:
            with_mixed_norms(network, method.source)
        network.to(self.device, memory_format=torch.channels_last).requires_grad_(False)
        if method.learns:
            modules, parameters = dict(network.named_modules()), network.named_parameters()
            of = {name: modules[name.rpartition(".")[0]] for name, _ in network.named_parameters()}
            self.learnt = {n: one for n, one in parameters if isinstance(of[n], MixedNorm)}
            self._optimizer = torch.optim.SGD(
                [one.requires_grad_(True) for one in self.learnt.values()], RATE, MOMENTUM
            )
            self._start = {name: one.detach().clone() for name, one in self.learnt.items()}
            self._anchor = {name: one.to(self.device) for name, one in (anchor or {}).items()}
        self._mean: torch.Tensor | None = None  # of earlier predictions

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Log-probabilities ``(B, K)`` of images in grey levels, float32 ``(B, 3, H, W)``, by the
        network as it was before it learns from them.
        """
        with torch.set_grad_enabled(self.method.learns):
            with autocast(self.compute, self.device):
                log_p = self.network.log_probabilities(images.to(self.device))
            if self.method.learns:
                self._learn(log_p.log_softmax(dim=1))
        return log_p.detach()

    def _learn(self, log_p: torch.Tensor) -> None:
        loss = entropy(log_p).mean() if self.method.kind == TENT else self._selected(log_p)
        if loss is not None:
            self._optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self._optimizer.step()

    def _selected(self, log_p: torch.Tensor) -> torch.Tensor | None:
        """EATA's loss: entropies of images that the network is sure of and that are unlike those
        before, the surer the heavier, and the distance from the start; None without such images.
        """
        given, margin = entropy(log_p), ENTROPY_MARGIN * math.log(log_p.shape[1])
        chosen, p = given.detach() < margin, log_p.detach().exp()
        if self._mean is not None:
            chosen &= functional.cosine_similarity(self._mean[None], p).abs() < SIMILARITY_MARGIN
        if not chosen.any():
            return None
        new = p[chosen].mean(dim=0)
        self._mean = new if self._mean is None else MEMORY * self._mean + (1 - MEMORY) * new
        given = given[chosen]
        loss = (given * (margin - given.detach()).exp()).mean()
        for name, weight in self._anchor.items():
            moved = self.learnt[name] - self._start[name]
            loss = loss + ANCHOR * (weight * moved.square()).sum()
        return loss


def entropy(log_p: torch.Tensor) -> torch.Tensor:
    """Entropy in nats of log-probabilities ``(B, K)``: ``(B,)``."""
    return -(log_p.exp() * log_p).sum(dim=1)


# --- Images ---------------------------------------------------------------------------------------


class Shown:
    """Images of a set as networks are shown them, under one condition after another: the square in
    the middle of each, at scale 256. The images, and what was last shown, stay in memory.
    """

    def __init__(self, images: ImageSet, profile: Profile) -> None:
        self.images, self.profile = images, profile
        self._canonical: list[torch.Tensor] = []
        self._last = ("", torch.empty(0))

    def __call__(self, condition: str) -> torch.Tensor:
        """The images under a condition: float32 ``(N, 3, s, s)``."""
        if condition != self._last[0]:
            self._last = condition, self._under(condition)
        return self._last[1]

    def _under(self, condition: str) -> torch.Tensor:
        protocol, ids, count = self.profile.protocol, self.images.ids, len(self.images)
        canonical, side = protocol.canonical, protocol.pixels("256")
        self._canonical = self._canonical or images_of(self.images, range(count), protocol)
        found = torch.empty(count, 3, side, side)
        for members in same_shape(self._canonical, self.profile.evaluation.batch):
            whole = torch.stack([self._canonical[member] for member in members])
            whole = whole.to(device_of(self.profile.compute))
            seen = blurred(whole, [ids[member] for member in members], condition, canonical)
            seen = network_input(seen, side, canonical)
            top, left = ((length - side) // 2 for length in seen.shape[-2:])
            found[members] = seen[..., top : top + side, left : left + side]
        return found


# --- What the store keeps -------------------------------------------------------------------------

DECIDED = ("rank", "entropy", "cross_entropy", "confidence")
"""Decisions of :func:`metrics.decide` on an image."""


def passes(spec: NetworkSpec, profile: Profile) -> list[tuple[Method, int]]:
    """Methods that are measured on a network, with the seed of each order of the images, which is
    one where the network is not reset: on fine-tuned ones no adaptation, and on that of the recipe
    without labels mixed statistics too.
    """
    methods: Sequence[Method] = METHODS
    if not spec.is_original:
        methods = MAIN[:3:2] if spec.recipe == "agreement" and spec.seed == 0 else MAIN[:1]
    several = range(profile.adaptation.seeds)
    counted = {one: one.has_chance and not one.continual for one in methods}
    return [(one, seed) for one in methods for seed in several if counted[one] or not seed]


def decided(specs: Iterable[NetworkSpec], run: Run) -> dict[tuple, list[pd.DataFrame]]:
    """Decisions on the profile's images: (network, method) -> those of each order of the images,
    with the columns of :func:`predictions.decisions` that do not need log-probabilities.
    """
    seen = shown("test", run, run.profile.adaptation.images)
    jobs = [(spec, *one) for spec in specs for one in passes(spec, run.profile)]
    frames: dict[tuple, list[pd.DataFrame]] = {job: [] for job in jobs}
    # One condition after another, as the images of one are in memory; then those through all.
    parts = [((condition,), False) for condition in CONDITIONS]
    parts += [((*CONDITIONS[1:], SHARP), True)]
    with progress(f"adapting to {seen.images.name}", len(parts) * len(jobs), "pass") as tick:
        for conditions, continual in parts:
            for (spec, method, seed), found in frames.items():
                if method.continual == continual and set(conditions) <= set(method.conditions):
                    found += _decided(trained(spec, run), method, seen, conditions, seed, run)
                tick(1)
    orders: dict[tuple, list[pd.DataFrame]] = {}
    for (spec, method, _), found in frames.items():
        orders.setdefault((spec, method), []).append(pd.concat(found, ignore_index=True))
    return orders


def shown(split: str, run: Run, most: int) -> Shown:
    """At most so many images of the first test set, or of the training set, spread over it."""
    profile = run.profile
    name = profile.evaluation.test_sets[0] if split == "test" else profile.train_set
    images = data.load_images(name, split, run)
    if most < len(images):
        images = Subset(images, [number * len(images) // most for number in range(most)])
    return Shown(images, profile)


def _decided(
    network: Trained, method: Method, seen: Shown, conditions: Sequence[str], seed: int, run: Run
) -> Iterator[pd.DataFrame]:
    """Decisions of one pass over the images under each of the conditions."""
    images, anchor = seen.images, None
    inputs = {"method": str(method), "conditions": list(conditions), "order": seed}
    if method.kind == EATA:
        anchor = _artifact("fisher", network, shown("train", run, len(images)), {}, fisher)
        run.store.note(anchor)
        inputs |= {"anchor": anchor.key}
    compute = partial(decisions, method, conditions, seed, partial(run.store.get, anchor))
    kept = run.store.get(_artifact("adapted", network, seen, inputs, compute))
    for condition in conditions:
        of = predictions.columns_of(network, images.name, len(images.classes), "256", condition)
        of |= {"seed": str(seed)} if method.has_chance else {}
        values = {name: kept[f"{condition}.{name}"].numpy() for name in DECIDED}
        yield pd.DataFrame({**of, "image": list(images.ids), "label": images.labels, **values})


def _artifact(
    kind: str, network: Trained, seen: Shown, own: Mapping[str, Any], compute: Callable[..., Any]
) -> Artifact[dict[str, torch.Tensor]]:
    """What a network makes of images; ``compute`` is given both."""
    images, profile = seen.images, seen.profile
    inputs = predictions.common_inputs(network, images, profile)
    inputs |= {"pixels": profile.protocol.pixels("256"), **own}
    said = ["+".join(one) if isinstance(one, list) else str(one) for one in own.values()]
    name = ".".join([str(network), images.name, *said])
    about = {"profile": profile.name, "data": images.fingerprint}
    return Artifact(kind, name, inputs, partial(compute, network, seen), about=about)


def decisions(
    method: Method,
    conditions: Iterable[str],
    seed: int,
    anchor: Callable[[], Mapping[str, torch.Tensor]],
    network: Reference,
    seen: Shown,
) -> dict[str, torch.Tensor]:
    """What :func:`metrics.decide` gives for a set's images under each condition in turn, as
    ``condition.name``, ``(N,)``, in the order of the set.
    """
    found, adapted, count = {}, None, len(seen.images)
    order = torch.from_numpy(stream(seed, "order of adaptation").permutation(count))
    for condition in conditions:
        if adapted is None or not method.continual:
            anchored = anchor() if method.kind == EATA else None
            adapted = Adapted(network.load(), method, seen.profile.compute, anchored)
        images = seen(condition)
        every = [adapted(images[numbers]).cpu() for numbers in order.split(method.batch)]
        decided = metrics.decide(torch.cat(every), seen.images.labels[order])
        for name, values in decided.items():
            found[f"{condition}.{name}"] = torch.empty(count)
            found[f"{condition}.{name}"][order] = torch.as_tensor(values).float()
    return found


def fisher(network: Reference, seen: Shown) -> dict[str, torch.Tensor]:
    """Fisher information of each scale and shift of batch normalisation, by the network's own
    predictions on sharp images: mean over batches of squared gradients (Niu et al. 2022, Eq. 9).
    """
    adapted = Adapted(network.load(), Method(TENT), seen.profile.compute)
    sums = {name: torch.zeros_like(one) for name, one in adapted.learnt.items()}
    shares = seen(SHARP).split(BATCH)
    for batch in shares:
        with autocast(adapted.compute, adapted.device):
            log_p = adapted.network.log_probabilities(batch.to(adapted.device))
        loss = -log_p.log_softmax(dim=1).max(dim=1).values.mean()
        gradients = torch.autograd.grad(loss, list(adapted.learnt.values()))
        for name, gradient in zip(sums, gradients, strict=True):
            sums[name] += gradient.square() / len(shares)
    return {name: one.cpu() for name, one in sums.items()}
