"""The blur as an operator on planes, against scipy and against dense linear algebra."""

from functools import partial

import numpy as np
import pytest
import torch
from helpers import blur_matrix, torus_weights
from scipy import ndimage, signal

from blurpaper import kernels
from blurpaper.deblurring.observation import Observation, mirrored

Mirrored = partial(Observation, border="mirror")
SHAPES = [(12, 9), (9, 14), (1, 7), (5, 1), (1, 1), (2, 3)]
KERNELS = {
    "symmetric": kernels.psf("D2"),
    "larger than the image": kernels.psf("D8"),
    "one axis": kernels.psf("H4"),
    "of no symmetry": np.array([[0, 1, 2, 0, 3], [4, 0, 1, 1, 0], [0, 0, 2, 5, 1]], np.float32)
    / 20,
    "symmetric about a point alone": np.array([[3, 0, 0], [0, 1, 0], [0, 0, 3]], np.float32) / 7,
}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", KERNELS)
def test_blur_is_scipys_convolution_with_a_mirror(shape, name) -> None:
    planes = torch.rand(2, *shape, generator=torch.Generator().manual_seed(1))
    blurred = Mirrored(planes, KERNELS[name]).blurred(planes)
    expected = [
        ndimage.convolve(plane.double().numpy(), KERNELS[name].astype(float), mode="mirror")
        for plane in planes
    ]
    np.testing.assert_allclose(blurred, expected, atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", KERNELS)
def test_solution_is_that_of_the_normal_equations(shape, name) -> None:
    generator = torch.Generator().manual_seed(2)
    sharp, target = (torch.rand(2, *shape, generator=generator) for _ in range(2))
    observed = Mirrored(sharp, KERNELS[name]).blurred(sharp)
    penalty = 0.01
    found = Mirrored(observed, KERNELS[name]).solve(penalty, penalty * target)
    matrix, weight = blur_matrix(KERNELS[name], shape), torus_weights(shape)
    normal = matrix.T @ (weight[:, None] * matrix) + penalty * np.diag(weight)
    for one, seen, near in zip(found, observed, target, strict=True):
        right = (
            matrix.T @ (weight * seen.double().numpy().ravel())
            + penalty * weight * near.double().numpy().ravel()
        )
        np.testing.assert_allclose(one.ravel(), np.linalg.solve(normal, right), atol=2e-3)


@pytest.mark.parametrize("name", ["symmetric", "of no symmetry"])
def test_penalty_on_gradients_is_the_sum_of_squared_differences(name) -> None:
    shape, penalty = (7, 6), 0.05
    observed = torch.rand(1, *shape, generator=torch.Generator().manual_seed(3))
    observation = Mirrored(observed, KERNELS[name])
    found = observation.solve(penalty * observation.roughness)[0].double().numpy()
    height, width = (max(2 * (side - 1), 1) for side in shape)
    rows, columns = mirrored(shape[0], 0, height), mirrored(shape[1], 0, width)

    def cost(image: np.ndarray) -> float:  # over the torus, spelled out
        error = (
            ndimage.convolve(image, KERNELS[name].astype(float), mode="mirror")
            - observed[0].double().numpy()
        ) ** 2
        torus = image[rows][:, columns]
        rough = sum(((np.roll(torus, -1, axis) - torus) ** 2).sum() for axis in (0, 1))
        return float((error.ravel() * torus_weights(shape)).sum() + penalty * rough)

    lowest = cost(found)
    changes = np.random.RandomState(4).standard_normal((20, *shape)) * 1e-2
    assert all(cost(found + change) > lowest for change in changes)


def test_nothing_rings_at_the_border() -> None:
    ramp = torch.linspace(0.1, 0.9, 60).expand(1, 40, 60) + 0.2 * torch.linspace(0, 1, 40)[:, None]
    observation = Mirrored(Mirrored(ramp, kernels.psf("D4")).blurred(ramp), kernels.psf("D4"))
    error = (observation.solve(1e-6 * observation.roughness) - ramp).abs()
    assert error.max() < 2e-3
    assert error[:, :3].max() < 2 * error[:, 15:25].max() + 1e-4


def test_planes_of_a_batch_do_not_know_of_one_another() -> None:
    planes = torch.rand(3, 16, 20, generator=torch.Generator().manual_seed(5))
    for kernel in (KERNELS["symmetric"], KERNELS["of no symmetry"]):
        together = Mirrored(planes, kernel).solve(0.01, 0.01 * planes)
        alone = torch.cat(
            [Mirrored(one[None], kernel).solve(0.01, 0.01 * one[None]) for one in planes]
        )
        torch.testing.assert_close(together, alone, atol=2e-3, rtol=0)


# --- A camera's frame -----------------------------------------------------------------------------


def frame_matrix(observation: Observation) -> np.ndarray:
    """From a scene on its torus to the pixels in the frame, column by column, by scipy."""
    (height, width), kernel = observation.observed.shape[-2:], observation.kernel
    down, across = (side // 2 for side in kernel.shape)
    units = np.eye(np.prod(observation.shape)).reshape(-1, *observation.shape)
    blurred = [ndimage.convolve(unit, kernel.astype(float), mode="wrap") for unit in units]
    inside = [one[down : down + height, across : across + width].ravel() for one in blurred]
    return np.stack(inside, axis=1)


@pytest.mark.parametrize("name", KERNELS)
def test_a_frame_sees_what_lies_whole_inside_the_scene(name) -> None:
    observation = Observation(torch.zeros(1, 9, 8), KERNELS[name])
    scene = torch.rand(2, *observation.shape, generator=torch.Generator().manual_seed(6))
    seen = observation.framed(observation.blurred(scene))
    down, across = (side // 2 for side in observation.kernel.shape)
    field = scene[:, : 9 + 2 * down, : 8 + 2 * across].double().numpy()
    expected = [signal.convolve2d(one, observation.kernel, mode="valid") for one in field]
    np.testing.assert_allclose(seen, expected, atol=1e-6)


@pytest.mark.parametrize("border", ["unknown", "mirror"])
@pytest.mark.parametrize("name", ["symmetric", "of no symmetry"])
def test_correlation_is_the_adjoint_of_blurring_and_framing(name, border) -> None:
    generator = torch.Generator().manual_seed(7)
    frame = torch.rand(1, 9, 14, generator=generator)
    observation = Observation(frame, KERNELS[name], border)
    scene = torch.rand(1, *observation.shape, generator=generator)
    seen = observation.framed(observation.blurred(scene))
    spectrum = observation._correlated(observation._weights * frame)
    back, own = observation._inner(spectrum, observation._forward(scene) + 0j), frame.numel()
    forth = (observation._weights * seen * frame).sum()
    assert own and float(back) / np.prod(observation.period) == pytest.approx(
        float(forth), rel=1e-5
    )


@pytest.mark.parametrize("name", ["symmetric", "larger than the image", "of no symmetry"])
def test_solution_in_a_frame_is_that_of_its_normal_equations(name) -> None:
    generator = torch.Generator().manual_seed(8)
    observed, penalty = torch.rand(1, 7, 9, generator=generator), 0.01
    clipped = torch.rand(1, 7, 9, generator=generator) > 0.8
    observation = Observation(observed, KERNELS[name], clipped=clipped)
    target = torch.rand(1, *observation.shape, generator=generator)
    matrix = frame_matrix(observation)
    for left_out, start in ((clipped, None), (observation.exceeded(target), target)):
        found = observation.solve(penalty, penalty * target, start)
        weight = ~left_out.numpy().ravel()
        normal = matrix.T @ (weight[:, None] * matrix) + penalty * np.eye(target.numel())
        right = matrix.T @ (weight * observed.double().numpy().ravel())
        exact = np.linalg.solve(normal, right + penalty * target.double().numpy().ravel())
        np.testing.assert_allclose(found.ravel(), exact, atol=2e-3)
    assert 0 < observation.exceeded(target).sum() < clipped.sum()


def test_what_is_not_seen_is_completed_by_the_blurred_scene() -> None:
    observed = torch.full((1, 20, 24), 0.5)
    clipped = torch.zeros(1, 20, 24, dtype=torch.bool)
    clipped[0, 3, :2] = True
    observation = Observation(observed, KERNELS["symmetric"], clipped=clipped)
    scene = torch.full((1, *observation.shape), 0.75)
    whole = observation.completed(scene)
    frame = observation.framed(whole)
    assert (frame[clipped] - 0.75).abs().max() < 1e-5 and (frame[~clipped] == 0.5).all()
    assert whole.sum() == pytest.approx(0.75 * whole.numel() - 0.25 * (480 - 2), rel=1e-5)


def test_margins_of_zeros_around_a_psf_do_not_widen_the_scene() -> None:
    kernel = KERNELS["of no symmetry"]
    wide = np.pad(kernel, ((4, 4), (9, 9)))
    observed = torch.rand(1, 12, 9, generator=torch.Generator().manual_seed(9))
    own, other = (Observation(observed, one) for one in (kernel, wide))
    assert own.shape == other.shape and np.array_equal(own.kernel, other.kernel)
