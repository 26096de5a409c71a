"""A flat stream of tokens: each token is a row, a batch is a number of windows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from rows_by_element import origin_of

from coverage_audit.identity.provenance import altered, shadow_of, track
from coverage_audit.identity.shadows import Span, Windows

N, T = 1000, 8
IX = np.array([5, 900, 41, 5])
windowed = np.lib.stride_tricks.sliding_window_view


def tokens() -> tuple[Any, int]:
    base = origin_of(N).base
    return track(np.arange(N, dtype=np.uint16), Span(base, 1, N)), base


def stacked(d: Any) -> Any:
    return np.stack([d[i : i + T] for i in IX])


def shuffled_windows(d: Any) -> Any:
    """(3, T) windows, shuffled in place."""
    rows = d[:24].reshape(3, T)
    rows[[0, 1]] = rows[[1, 0]]
    return rows


BATCHES: dict[str, tuple[Callable[[Any], Any], list[int], int]] = {
    "random windows": (stacked, IX.tolist(), T),
    "and their targets": (lambda d: np.stack([d[i + 1 : i + 1 + T] for i in IX]), (IX + 1).tolist(), T),
    "as int64": (lambda d: np.stack([d[i : i + T].astype(np.int64) for i in IX]), IX.tolist(), T),
    "vstack": (lambda d: np.vstack([d[i : i + T] for i in IX]), IX.tolist(), T),
    "a slice, reshaped": (lambda d: d[100:132].reshape(4, T), [100, 108, 116, 124], T),
    "a copy, reshaped": (lambda d: d[100:132].copy().reshape(-1, T), [100, 108, 116, 124], T),
    "x of x and y": (lambda d: d[100:132].reshape(4, T)[:, :-1], [100, 108, 116, 124], T - 1),
    "y of x and y": (lambda d: d[100:132].reshape(4, T)[:, 1:], [101, 109, 117, 125], T - 1),
    "y of a stack": (lambda d: stacked(d)[:, 1:], (IX + 1).tolist(), T - 1),
    "some of them": (lambda d: stacked(d)[[3, 0]], [5, 5], T),
    "some of them, cut": (lambda d: stacked(d)[[1, 2], :3], [900, 41], 3),
    "the last of them": (lambda d: stacked(d)[-2:], [41, 5], T),
    "backwards": (lambda d: stacked(d)[::-1], [5, 41, 900, 5], T),
    "copied": (lambda d: stacked(d).copy().astype(np.int32), IX.tolist(), T),
    "all windows, some picked": (lambda d: windowed(d, T)[IX], IX.tolist(), T),
    "every other window": (lambda d: windowed(d, T)[10:20:4], [10, 14, 18], T),
    "indices of their own": (lambda d: d[IX[:, None] + np.arange(T)], IX.tolist(), T),
    "take with such": (lambda d: np.take(d, IX[:, None] + np.arange(T)), IX.tolist(), T),
    "a file in rows": (lambda d: d[: N // T * T].reshape(-1, T)[[7, 0]], [56, 0], T),
    "two stacks": (lambda d: np.concatenate([stacked(d), stacked(d)[:1]]), [*IX.tolist(), 5], T),
    "micro-batches": (lambda d: np.stack([stacked(d), stacked(d)])[1], IX.tolist(), T),
    "carried over": (lambda d: np.concatenate([d[90:100], d[100:114]]).reshape(3, T), [90, 98, 106], T),
    "behind tokens of the user's": (lambda d: np.append(np.zeros(T, d.dtype), d[:T]).reshape(2, T)[1:], [0], T),
    "shuffled whole": (shuffled_windows, [8, 0, 16], T),
}  # fmt: skip


@pytest.mark.parametrize("name", BATCHES)
def test_windows(name: str) -> None:
    make, firsts, length = BATCHES[name]
    d, base = tokens()
    batch = make(d)
    shadow = shadow_of(batch)
    assert isinstance(shadow, Windows)
    assert ((shadow.firsts - base).tolist(), shadow.length) == (firsts, length)
    assert not altered(batch)
    # Each token is its own number.
    assert batch.tolist() == [list(range(first, first + length)) for first in firsts]


def test_single_windows_are_spans() -> None:
    d, base = tokens()
    assert shadow_of(stacked(d)[1]) == Span(base + 900, 1, T)
    assert shadow_of(stacked(d)[1, 2:]) == Span(base + 902, 1, T - 2)
    assert shadow_of(d[100:132].reshape(4, T)[1]) == Span(base + 108, 1, T)
    assert shadow_of(d[100:132].reshape(4, T).ravel()) == Span(base + 100, 1, 32)
    column = shadow_of(stacked(d)[:, 2])
    assert isinstance(column, np.ndarray)
    assert (column - base).tolist() == (IX + 2).tolist()


def test_what_are_no_windows() -> None:
    d, _ = tokens()
    assert shadow_of(stacked(d)[:, ::2]) is None
    assert shadow_of(stacked(d).T) is None
    assert shadow_of(stacked(d)[:, ::-1]) is None
    assert shadow_of(np.array([d[i : i + T] for i in IX])) is None
