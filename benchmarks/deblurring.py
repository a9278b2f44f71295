"""EPLL, exactly and fast, beside cheaper methods, deepinv's EPLL with the same prior and
scikit-image's filters, in a mirrored frame, in a camera's, and on photographs that a camera shook;
the prior beside scikit-learn's.

PSNR on grey photographs (of bsds500/test where it is there), under a PSF with rounding as the only
noise; seconds for a grey and for a colour photograph (481 x 321), warm, medians. In a mirrored
frame the constants of the cheaper methods are their best on these very images, which favours them.
A camera's frame is cut from images that were blurred at a larger field; what is restored is
compared on the same pixels. Photographs that a camera shook are those of Levin et al. (2009), after
alignment, where they are in the data folder.
"""

from __future__ import annotations

import math
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch

from blurpaper import blur, deblurring
from blurpaper.data import examples, folders
from blurpaper.data.sets import ImageSet
from blurpaper.deblurring import Observation, baselines, em, splitting
from blurpaper.deblurring.prior import PIXELS, SIDE, basis, bundled_prior, sample
from blurpaper.evaluation import metrics
from blurpaper.experiments import restoration
from blurpaper.kernels import psf
from blurpaper.runs.files import data_folder

BEST = {
    "wiener": (baselines.wiener, (0.05, 0.07, 0.1, 0.14, 0.2)),
    "gradient": (baselines.gradient, (0.04, 0.06, 0.08, 0.11, 0.15)),
    "total-variation": (baselines.total_variation, (0.045, 0.06, 0.08, 0.11, 0.15)),
    "richardson-lucy": (baselines.richardson_lucy, (30, 100)),
}
"""The cheaper methods, and constants to choose the best of."""

MIRRORED = {"noise": deblurring.ROUNDING, "border": "mirror"}

Way = Callable[[torch.Tensor], torch.Tensor]


def measure(quick: bool = False) -> list[dict[str, object]]:
    """A row a method: PSNR and seconds an image, in a mirrored frame, in a camera's, and shaken."""
    count = 1 if quick else 20
    rows = compare("D8", count, 0 if quick else 20, 0 if quick else 1)
    for name in ("D8", "shake:3"):
        rows += in_a_camera(name, count, peer=0 if quick else 1)
    return rows + shaken(1 if quick else None)


def measure_priors(quick: bool = False) -> list[dict[str, object]]:
    """A row a prior learnt in the same time: seconds, and nats a held-out patch."""
    return compare_priors(20_000 if quick else 300_000)


# --- Deblurring -----------------------------------------------------------------------------------


def compare(name: str, images: int, exact: int, peer: int) -> list[dict[str, object]]:
    """A row a method; deepinv's beside exact EPLL on the same few."""
    kernel = psf(name)
    found = photographs("test")
    colour = [found[number] for number in range(min(images, len(found)))]
    grey = [photo.float().mean(dim=0, keepdim=True).round().to(torch.uint8) for photo in colour]
    blurred = [blur.apply(one.expand(3, -1, -1).contiguous(), kernel)[:1] for one in grey]
    rows = [
        measured(
            method,
            lambda seen, m=method: deblurring.restore(seen, kernel, m, **MIRRORED),
            blurred[:count],
            grey,
            colour[0],
            kernel,
        )
        for method, count in (("epll-exact", exact), ("epll", images))
    ]
    rows += [
        measured(*best(name, blurred, grey, kernel), blurred, grey, colour[0], kernel)
        for name in BEST
    ]
    if peer and (theirs := deepinv_epll(kernel)):
        ours = [row for row in rows if row["method"] == "epll-exact"]
        rows.append(measured("deepinv's EPLL", theirs, blurred[:peer], grey))
        rows.append(
            {
                "method": "epll-exact on the same",
                "images": peer,
                "PSNR, dB": float(np.mean(ours[0]["each"][:peer])),
            }
        )
    for row in rows:
        row.pop("each", None)
    return rows


def measured(
    method: str,
    restore: Way,
    blurred: Sequence[torch.Tensor],
    grey: Sequence[torch.Tensor],
    colour: torch.Tensor | None = None,
    kernel: np.ndarray | None = None,
) -> dict[str, object]:
    """PSNR and seconds of one method on grey images, and seconds on one in colour."""
    if colour is not None:
        restore(blurred[0])  # warm
    seconds, scores = [], []
    for seen, clear in zip(blurred, grey, strict=False):
        spent, restored = timed(lambda seen=seen: restore(seen))
        seconds.append(spent)
        scores.append(metrics.psnr(restored, clear))
    row = {
        "method": method,
        "images": len(scores),
        "PSNR, dB": float(np.mean(scores)),
        "s, grey": statistics.median(seconds),
    }
    row["each"] = scores
    if colour is not None:
        seen = blur.apply(colour, kernel)
        runs = [
            timed(lambda: deblurring.restore(seen, kernel, method.split()[0], **MIRRORED))
            for _ in range(1 if "exact" in method else 5)
        ]
        row["s, colour"] = statistics.median(spent for spent, _ in runs)
    return row


def timed(work: Callable[[], torch.Tensor]) -> tuple[float, torch.Tensor]:
    """Seconds, and what came of them."""
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def best(
    method: str, blurred: Sequence[torch.Tensor], grey: Sequence[torch.Tensor], kernel: np.ndarray
) -> tuple[str, Way]:
    """A method with the constant that is best on these images."""
    function, constants = BEST[method]

    def restoring(constant: float) -> Way:
        def restore(seen: torch.Tensor) -> torch.Tensor:
            found = function(
                Observation(seen.float() / 255, kernel, "mirror"),
                deblurring.ROUNDING / 255,
                constant,
            )
            return (found * 255).round().clamp(0, 255).to(torch.uint8)

        return restore

    scores = {
        constant: np.mean(
            [
                metrics.psnr(restoring(constant)(seen), clear)
                for seen, clear in zip(blurred, grey, strict=True)
            ]
        )
        for constant in constants
    }
    chosen = max(scores, key=scores.get)
    return f"{method} at {chosen:g}", restoring(chosen)


# --- In a camera's frame --------------------------------------------------------------------------


def in_a_camera(name: str, images: int, peer: int) -> list[dict[str, object]]:
    """A row a method in a camera's frame, ours as :func:`deblurring.restore` has them by default;
    and EPLL of the same pixels, mirrored at the frame before they are blurred.
    """
    kernel, found = psf(name), photographs("test")
    down, across = (side // 2 for side in kernel.shape)
    seen, clear, mirrored = [], [], []
    for number in range(min(images, len(found))):
        grey = found[number].float().mean(dim=0).round().to(torch.uint8).expand(3, -1, -1)
        for into, one in ((seen, blur.apply(grey.contiguous(), kernel)), (clear, grey)):
            into.append(one[:1, down : -down or None, across : -across or None].contiguous())
        whole = clear[-1].expand(3, -1, -1).contiguous()
        mirrored.append(blur.apply(whole, kernel)[:1])
    ours = {
        method: lambda one, m=method: deblurring.restore(one, kernel, m)
        for method in deblurring.METHODS
        if method != "epll-exact"
    }
    rows = [measured(method, way, seen, clear) for method, way in ours.items()]
    rows += [measured(way, one, seen, clear) for way, one in filters(kernel).items()]
    for padding in ("reflect", "replicate"):
        if peer and (theirs := deepinv_epll(kernel, padding)):
            rows.append(measured(f"deepinv's EPLL, {padding}", theirs, seen[:peer], clear))
    untouched = [metrics.psnr(*pair) for pair in zip(seen, clear, strict=True)]
    rows.append({"method": "blurred", "images": len(seen), "PSNR, dB": float(np.mean(untouched))})
    best = measured(
        "epll, mirrored", lambda one: deblurring.restore(one, kernel, **MIRRORED), mirrored, clear
    )
    colour = blur.apply(found[0], kernel)
    spent = [timed(lambda: deblurring.restore(colour, kernel))[0] for _ in range(5)]
    rows[0]["s, colour"] = statistics.median(spent)
    for row in [*rows, best]:
        row.pop("each", None)
        row["method"] += f", in a camera's frame ({name})"
    return [*rows, best]


def filters(kernel: np.ndarray) -> dict[str, Way]:
    """scikit-image's, as its documentation calls them."""
    from skimage import restoration

    def way(function: Callable[[np.ndarray], np.ndarray]) -> Way:
        def restore(seen: torch.Tensor) -> torch.Tensor:
            found = np.clip(function(seen[0].numpy() / 255.0), 0, 1)
            return torch.from_numpy(np.round(255 * found)).to(torch.uint8)[None]

        return restore

    return {
        "scikit-image's Wiener": way(lambda one: restoration.wiener(one, kernel, 0.001)),
        "scikit-image's unsupervised Wiener": way(
            lambda one: restoration.unsupervised_wiener(one, kernel, rng=0)[0]
        ),
        "scikit-image's Richardson-Lucy": way(
            lambda one: restoration.richardson_lucy(one, kernel, num_iter=30)
        ),
    }


def shaken(most: int | None = None) -> list[dict[str, object]]:
    """A row a method on the photographs of Levin et al.: mean PSNR, how many became worse, seconds;
    none where they are not in the data folder.
    """
    folder = data_folder() / "levin2009"
    if not folder.is_dir():
        return []
    pairs = list(restoration.shaken_in(folder))[:most]
    before = [metrics.aligned_psnr(seen, sharp) for seen, sharp, _ in pairs]
    rows = [{"method": "blurred", "images": len(pairs), "PSNR, dB": float(np.mean(before))}]
    names = [name for name in deblurring.METHODS if most is None or name != "epll-exact"]
    for name in [*names, *filters(pairs[0][2])]:
        scores, seconds = [], []
        for seen, sharp, kernel in pairs:
            if name in deblurring.METHODS:
                noise = math.hypot(deblurring.estimated_noise(seen), deblurring.PSF_ERROR)
                way = partial(deblurring.restore, psf=kernel, method=name, noise=noise)
            else:
                way = filters(kernel)[name]
            spent, found = timed(lambda way=way, seen=seen: way(seen))
            seconds.append(spent)
            scores.append(metrics.aligned_psnr(found, sharp))
        row = {"method": name, "images": len(pairs), "PSNR, dB": float(np.mean(scores))}
        row["worse"] = int((np.array(scores) < before).sum())
        rows.append(row | {"s, grey": statistics.median(seconds)})
    return [row | {"method": f"{row['method']}, shaken photographs"} for row in rows]


def deepinv_epll(kernel: np.ndarray, padding: str = "reflect") -> Way | None:
    """deepinv's EPLL with our prior; it keeps a patch's mean, which our prior leaves free: variance
    100 stands for that.
    """
    try:
        from deepinv.optim.epll import EPLL
        from deepinv.optim.utils import GaussianMixtureModel
        from deepinv.physics import Blur
    except ImportError:
        return None
    prior = bundled_prior()
    mixture = GaussianMixtureModel(len(prior), PIXELS)
    of_pixels = basis().T @ prior.covariances @ basis()
    mixture.set_cov(of_pixels + torch.full((PIXELS, PIXELS), 100 / PIXELS))
    mixture.set_weights(prior.weights)
    model = EPLL(GMM=mixture, pretrained=None, patch_size=SIDE, channels=1)
    physics = Blur(torch.from_numpy(kernel.copy())[None, None], padding=padding)

    def restore(seen: torch.Tensor) -> torch.Tensor:
        observed = seen[None].float() / 255
        with torch.inference_mode():
            found = model(
                observed,
                physics,
                sigma=deblurring.ROUNDING / 255,
                x_init=observed,
                betas=list(splitting.BONDS),
                batch_size=2000,
            )
        return (found[0] * 255).round().clamp(0, 255).to(torch.uint8)

    return restore


def photographs(split: str) -> ImageSet:
    """bsds500 where it is there, else what scikit-image carries."""
    return (
        folders.load_images("bsds500", split)
        if folders.is_there("bsds500", split)
        else examples.CarriedSet(split)
    )


# --- The prior ------------------------------------------------------------------------------------


def compare_priors(count: int) -> list[dict[str, object]]:
    """Mean log-likelihood of held-out patches under priors learnt in the same time: ours,
    scikit-learn's, a single Gaussian.
    """
    learnt_from = sample(photographs("train"), count, seed=0)
    held_out = sample(photographs("test"), 50_000, seed=0)
    started = time.perf_counter()
    ours = em.learn(learnt_from, components=200, passes=3, batch=20_000, seed=0)
    allowed = time.perf_counter() - started
    single = em.gaussian(learnt_from)
    rows = [
        {
            "prior": name,
            "seconds": spent,
            "nats a patch": model.log_likelihood(held_out).mean().item(),
        }
        for name, model, spent in (
            ("ours, 200 components", ours, allowed),
            ("single Gaussian", single, 0.0),
        )
    ]
    try:
        from sklearn.mixture import GaussianMixture
    except ImportError:
        return rows
    for part in (25_000, 100_000):
        theirs = GaussianMixture(
            200,
            max_iter=1,
            warm_start=True,
            init_params="random_from_data",
            reg_covar=1e-7,
            random_state=0,
        )
        started, rounds = time.perf_counter(), 0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it has not converged after one round
            while time.perf_counter() - started < allowed:
                theirs.fit(learnt_from[:part].numpy())
                rounds += 1
        spent = time.perf_counter() - started
        score = float(theirs.score(held_out.numpy()))
        rows.append(
            {
                "prior": f"scikit-learn, {part:,} patches, {rounds} rounds",
                "seconds": spent,
                "nats a patch": score,
            }
        )
    return rows
