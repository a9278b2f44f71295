"""The loops of :mod:`scanlines`, compiled by numba.

A plane is uint8 ``(H, W * pixel)``. The rows within reach of a PSF are held in a ring, padded by
the mirrored border; a tap is the place in the ring at which its row begins.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

AT_ONCE = 8
"""Taps that are added in one pass over a row."""


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no folder to keep compiled code in
        return numba.njit(**options)(function)


@_compiled
def _mirrored(place, size):
    if size == 1:
        return 0
    period = 2 * (size - 1)
    place = abs(place) % period
    return place if place < size else period - place


@_compiled
def _fill(line, row, pixel, across):
    """A row of bytes with its mirrored borders."""
    border, length, width = across * pixel, len(row), len(row) // pixel
    for x in range(across):
        left, right = _mirrored(x - across, width) * pixel, _mirrored(width + x, width) * pixel
        for channel in range(pixel):
            line[x * pixel + channel] = row[left + channel]
            line[border + length + x * pixel + channel] = row[right + channel]
    inner = line[border:]
    for i in range(length):
        inner[i] = row[i]


@_compiled
def accumulate(line, pixel):
    """The running sum along a row, in place, each channel by itself. Sums may wrap around, which
    leaves their differences right.
    """
    if pixel == 3:
        red, green, blue = line[0], line[1], line[2]
        for i in range(3, len(line), 3):
            red, green, blue = red + line[i], green + line[i + 1], blue + line[i + 2]
            line[i], line[i + 1], line[i + 2] = red, green, blue
    else:
        for channel in range(pixel):
            total = line[channel]
            for i in range(channel + pixel, len(line), pixel):
                total += line[i]
                line[i] = total


@_compiled
def weighted_sum(total, lines, at, weights):
    """total[x] = the sum of weights[k] * lines[at[k] + x], eight of them in each pass."""
    length = np.uint64(len(total))
    for k in range(0, len(at), 8):
        a, b, c, d = at[k], at[k + 1], at[k + 2], at[k + 3]
        e, f, g, h = at[k + 4], at[k + 5], at[k + 6], at[k + 7]
        wa, wb, wc, wd = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
        we, wf, wg, wh = weights[k + 4], weights[k + 5], weights[k + 6], weights[k + 7]
        if k == 0:
            for x in range(length):
                total[x] = (wa * lines[a + x] + wb * lines[b + x] + wc * lines[c + x]
                            + wd * lines[d + x] + we * lines[e + x] + wf * lines[f + x]
                            + wg * lines[g + x] + wh * lines[h + x])  # fmt: skip
        else:
            for x in range(length):
                total[x] += (wa * lines[a + x] + wb * lines[b + x] + wc * lines[c + x]
                             + wd * lines[d + x] + we * lines[e + x] + wf * lines[f + x]
                             + wg * lines[g + x] + wh * lines[h + x])  # fmt: skip


@_compiled
def _round(row, total, factor):
    for x in range(len(row)):
        level = np.rint(np.float32(total[x]) * factor)
        row[x] = np.uint8(np.int32(min(max(level, np.float32(0)), np.float32(255))))


@_compiled
def by_taps(
    plane, out, pixel, top, bottom, down, across, rows, columns, weights, factor, of_running_sums
):
    height, length = plane.shape
    kept, stride = 2 * down + 1, length + 2 * across * pixel
    ring, total = np.empty((kept, stride), weights.dtype), np.empty(length, weights.dtype)
    lines, at = ring.reshape(-1), np.empty(len(rows), np.uint64)
    for below in range(top - down, bottom + down):
        line = ring[(below + down) % kept]
        _fill(line, plane[_mirrored(below, height)], pixel, across)
        if of_running_sums:
            accumulate(line, pixel)
        y = below - down
        if y >= top:
            for k in range(len(rows)):
                at[k] = np.uint64(
                    (y + rows[k] + down) % kept * stride + (columns[k] + across) * pixel
                )
            weighted_sum(total, lines, at, weights)
            _round(out[y], total, factor)


@_compiled
def two_weighted_sums(one, other, lines, at, weights):
    """Two weighted sums, of lines from at[k] on and of lines from at[k + 1] on: each line is loaded
    once for both.
    """
    length = np.uint64(len(one))
    for k in range(0, len(weights), 8):
        a, b, c, d = at[k], at[k + 1], at[k + 2], at[k + 3]
        e, f, g, h = at[k + 4], at[k + 5], at[k + 6], at[k + 7]
        i = at[k + 8]
        wa, wb, wc, wd = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
        we, wf, wg, wh = weights[k + 4], weights[k + 5], weights[k + 6], weights[k + 7]
        if k == 0:
            for x in range(length):
                one[x] = (wa * lines[a + x] + wb * lines[b + x] + wc * lines[c + x]
                          + wd * lines[d + x] + we * lines[e + x] + wf * lines[f + x]
                          + wg * lines[g + x] + wh * lines[h + x])  # fmt: skip
                other[x] = (wa * lines[b + x] + wb * lines[c + x] + wc * lines[d + x]
                            + wd * lines[e + x] + we * lines[f + x] + wf * lines[g + x]
                            + wg * lines[h + x] + wh * lines[i + x])  # fmt: skip
        else:
            for x in range(length):
                one[x] += (wa * lines[a + x] + wb * lines[b + x] + wc * lines[c + x]
                           + wd * lines[d + x] + we * lines[e + x] + wf * lines[f + x]
                           + wg * lines[g + x] + wh * lines[h + x])  # fmt: skip
                other[x] += (wa * lines[b + x] + wb * lines[c + x] + wc * lines[d + x]
                             + wd * lines[e + x] + we * lines[f + x] + wf * lines[g + x]
                             + wg * lines[h + x] + wh * lines[i + x])  # fmt: skip


@_compiled
def by_columns_and_rows(plane, out, pixel, top, bottom, down, across, vertical, horizontal):
    height, length = plane.shape
    kept, stride = 2 * down + 2, length + 2 * across * pixel
    ring, total = np.empty((kept, stride), np.float32), np.empty(length, np.float32)
    upper, lower = np.empty(stride, np.float32), np.empty(stride, np.float32)
    lines, above = ring.reshape(-1), np.empty(len(vertical) + 1, np.uint64)
    beside = np.array([np.uint64(min(k, 2 * across) * pixel) for k in range(len(horizontal))])
    for y in range(top, bottom, 2):
        for below in range(y - down if y == top else y + down, y + down + 2):
            _fill(ring[(below + down) % kept], plane[_mirrored(below, height)], pixel, across)
        for k in range(len(above)):
            above[k] = np.uint64((y + min(k, 2 * down + 1)) % kept * stride)
        two_weighted_sums(upper, lower, lines, above, vertical)
        weighted_sum(total, upper, beside, horizontal)
        _round(out[y], total, np.float32(1))
        if y + 1 < bottom:
            weighted_sum(total, lower, beside, horizontal)
            _round(out[y + 1], total, np.float32(1))
