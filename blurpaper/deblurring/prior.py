"""The prior of EPLL: a zero-mean Gaussian mixture on 8 x 8 patches without their mean (Zoran and
Weiss 2011).

A patch without its mean has 63 degrees of freedom, not 64. Written in the 63 cosines that are not
constant it has a density, and its covariance an inverse. The quadratic form of a Gaussian is linear
in the products of a patch's coordinates. All components together are therefore one matrix product
with the 2,016 products of two of 63 coordinates: half the arithmetic of whitening, and nothing to
square.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch

from blurpaper.data.sets import ImageSet
from blurpaper.runs.files import RESULTS, UserError
from blurpaper.runs.randomness import stream

# --- Patches --------------------------------------------------------------------------------------

SIDE = 8
MOST_IMAGES = 2000
"""Most images of a set that patches are taken from; of a larger set, evenly spread ones."""
PIXELS = SIDE * SIDE
DIMENSIONS = PIXELS - 1
PRODUCTS = DIMENSIONS * (DIMENSIONS + 1) // 2


@lru_cache(maxsize=1)
def basis() -> torch.Tensor:
    """The orthonormal cosines (DCT-II) of a patch but the constant one: float32 ``(63, 64)``."""
    place = torch.arange(SIDE, dtype=torch.float64)
    cosines = torch.cos(math.pi * (place + 0.5) * place[:, None] / SIDE) * math.sqrt(2 / SIDE)
    cosines[0] /= math.sqrt(2)
    return torch.kron(cosines, cosines)[1:].float()


def sample(images: ImageSet, count: int, seed: int) -> torch.Tensor:
    """Random patches of a set of images, equally many of each: float32 ``(count, 63)``, grey levels
    of [0, 1], shuffled.

    Noise of half a grey level undoes the rounding to 8 bits, without which a flat patch would have
    no density. Images smaller than a patch are left out.

    Raises:
        UserError: if every image is.
    """
    numbers = range(0, len(images), -(-len(images) // MOST_IMAGES))
    found = []
    for place, number in enumerate(numbers):
        image, name = images[number], images.ids[number]
        share = count // len(numbers) + (place < count % len(numbers))
        if min(image.shape[-2:]) < SIDE:
            continue
        draw = stream(seed, "patches", images.name, name)
        grey = image.float().mean(dim=0) / 255
        places = [draw.randint(0, side - SIDE + 1, share) for side in grey.shape]
        rows, columns = map(torch.from_numpy, places)
        taken = grey.unfold(0, SIDE, 1).unfold(1, SIDE, 1)[rows, columns].reshape(share, PIXELS)
        noise = torch.from_numpy(draw.random_sample((share, PIXELS))).float()
        found.append((taken + (noise - 0.5) / 255) @ basis().T)
    if not found:
        raise UserError(
            f"no image of {images.name} is as large as a patch of {SIDE} x {SIDE} pixels."
        )
    patches = torch.cat(found)
    return patches[torch.from_numpy(stream(seed, "patches", images.name).permutation(len(patches)))]


# --- Mixtures -------------------------------------------------------------------------------------

_CHUNK = 8192
"""Patches whose products are held at a time: 66 MB."""


@dataclass(frozen=True, eq=False)
class Mixture:
    """A zero-mean Gaussian mixture on patches in the coordinates of :func:`basis`.

    Attributes:
        weights: float32 ``(K,)``, of sum 1.
        covariances: float32 ``(K, 63, 63)``, of grey levels in [0, 1].
    """

    weights: torch.Tensor
    covariances: torch.Tensor

    def __len__(self) -> int:
        return len(self.weights)

    def to(self, device: torch.device) -> Mixture:
        """The same mixture on a device."""
        return Mixture(self.weights.to(device), self.covariances.to(device))

    def log_likelihood(self, patches: torch.Tensor) -> torch.Tensor:
        """Logarithm of the density of patches ``(N, 63)``, in nats: ``(N,)``."""
        scores = Scores(self)
        return torch.cat([scores(part.T).logsumexp(dim=0) for part in patches.split(_CHUNK)])

    def state(self) -> dict[str, torch.Tensor]:
        """The mixture as tensors for a file, covariances as upper triangles by diagonals."""
        return {"weights": self.weights, "covariances": diagonals(self.covariances)}

    @classmethod
    def of_state(cls, state: Mapping[str, torch.Tensor]) -> Mixture:
        """The mixture of such tensors.

        Raises:
            UserError: for other tensors.
        """
        shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
        weights = shapes.get("weights", ())
        if shapes != {"weights": weights[:1], "covariances": (*weights[:1], PRODUCTS)}:
            raise UserError(
                f"these tensors are not a mixture on patches of {DIMENSIONS + 1} pixels. Got "
                f"{shapes}."
            )
        return cls(state["weights"], matrices(state["covariances"]))


class Scores:
    """Log of weight times density of every component, with white noise of that variance added."""

    def __init__(self, mixture: Mixture, noise: float = 0.0) -> None:
        identity = torch.eye(DIMENSIONS, device=mixture.covariances.device)
        factors = torch.linalg.cholesky(mixture.covariances.double() + noise * identity)
        log_determinants = 2 * factors.diagonal(dim1=1, dim2=2).log().sum(dim=1)
        normalisers = 0.5 * (log_determinants + DIMENSIONS * math.log(2 * math.pi))
        constants = mixture.weights.double().log() - normalisers
        precisions = diagonals(torch.cholesky_inverse(factors))
        precisions[:, DIMENSIONS:] *= 2  # off the main diagonal each product stands for two
        self._constants = constants.float()[:, None]
        self._precisions = (-0.5 * precisions).float()

    def __call__(self, patches: torch.Tensor) -> torch.Tensor:
        """Scores ``(K, N)`` of patches ``(63, N)``."""
        return self.of_products(products(patches))

    def of_products(self, paired: torch.Tensor) -> torch.Tensor:
        """Scores ``(K, N)`` of patches given by their products ``(2016, N)``."""
        return torch.addmm(self._constants, self._precisions, paired)

    def choose(self, patches: torch.Tensor) -> torch.Tensor:
        """Number of the likeliest component of each patch ``(63, N)``: int64 ``(N,)``."""
        return torch.cat([self(part).argmax(dim=0) for part in patches.split(_CHUNK, dim=1)])


# --- Symmetric matrices by diagonals --------------------------------------------------------------


def products(patches: torch.Tensor) -> torch.Tensor:
    """All products of two coordinates of patches ``(D, N)``, by diagonals of their matrix:
    ``(D (D + 1) / 2, N)``.
    """
    patches = patches.contiguous()
    size, count = patches.shape
    found = patches.new_empty(size * (size + 1) // 2, count)
    for offset, part in enumerate(found.split(list(range(size, 0, -1)))):
        torch.mul(patches[: size - offset], patches[offset:], out=part)
    return found


def diagonals(symmetric: torch.Tensor) -> torch.Tensor:
    """Upper triangles of matrices ``(K, D, D)``, main diagonal first: ``(K, D (D + 1) / 2)``."""
    size = symmetric.shape[1]
    return torch.cat([torch.diagonal(symmetric, offset, 1, 2) for offset in range(size)], dim=1)


def matrices(triangles: torch.Tensor) -> torch.Tensor:
    """The inverse of :func:`diagonals`: symmetric matrices ``(K, D, D)``."""
    count, entries = triangles.shape
    size = math.isqrt(2 * entries)
    whole = triangles.new_zeros(count, size, size)
    for offset, part in enumerate(triangles.split(list(range(size, 0, -1)), dim=1)):
        whole.diagonal(offset, 1, 2).copy_(part)
        whole.diagonal(-offset, 1, 2).copy_(part)
    return whole


# --- Files ----------------------------------------------------------------------------------------

BUNDLED = RESULTS / "priors" / "bsds500.safetensors"
"""The bundled prior."""


def load_prior(path: Path) -> Mixture:
    """Read a prior from a safetensors file.

    Raises:
        UserError: if the file is missing, damaged or holds something else.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return Mixture.of_state(load_file(path))
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} cannot be read as a prior: {error}.") from None
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


@lru_cache(maxsize=1)
def bundled_prior() -> Mixture:
    """The bundled mixture of 200 components, learnt from the photographs of bsds500/train."""
    return load_prior(BUNDLED)
