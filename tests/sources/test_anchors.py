"""Anchors: the least k-gram of every window, so that any piece holds one of the stream."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coverage_audit.sources import anchors
from coverage_audit.sources.anchors import GRAM, Spacing, anchors_of_windows, find_anchors, gram_hashes, spacing_for

Array = np.ndarray[Any, Any]
STREAMS = st.lists(st.integers(0, 3) | st.integers(0, 60000), min_size=0, max_size=150)


def slowly(numbers: Array, window: int) -> list[int]:
    """The definition: of every window the leftmost k-gram with the least hash (its first 48 bits)."""
    if len(numbers) < GRAM:
        return []
    hashes = (gram_hashes(numbers) >> np.uint64(16)).tolist()
    windows = [hashes[at : at + window] for at in range(len(hashes) - window + 1)]
    return sorted({at + found.index(min(found)) for at, found in enumerate(windows)})


@given(STREAMS, st.sampled_from([1, 2, 5, 9, 25]))
def test_anchors_are_the_least_of_their_windows(values: list[int], window: int) -> None:
    numbers = np.array(values, np.uint16)
    places, keys = find_anchors(numbers, Spacing(window))
    assert places.tolist() == slowly(numbers, window)
    assert len(keys) == len(places)


@settings(max_examples=20)
@given(st.integers(0, 100), st.sampled_from([np.uint8, np.int64, np.float32]))
def test_long_streams_are_cut_without_a_seam(seed: int, dtype: type) -> None:
    numbers: Array = np.random.default_rng(seed).integers(0, 9, 400).astype(dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(anchors, "_PLACES", 63)
        places, _ = find_anchors(numbers, Spacing(9))
    kept = (gram_hashes(numbers) & ~np.uint64(63)).tolist()
    windows = [kept[at : at + 9] for at in range(len(kept) - 8)]
    assert places.tolist() == sorted({at + found.index(min(found)) for at, found in enumerate(windows)})


@given(STREAMS.filter(lambda values: len(values) >= 32), st.data())
def test_a_piece_holds_anchors_of_its_stream(values: list[int], data: st.DataObject) -> None:
    numbers, spacing = np.array(values, np.uint16), Spacing(9)
    start = data.draw(st.integers(0, len(numbers) - spacing.shortest))
    stop = data.draw(st.integers(start + spacing.shortest, len(numbers)))
    offsets, keys = anchors_of_windows(numbers[None, start:stop], spacing, 4)
    there = dict(zip(*(part.tolist() for part in find_anchors(numbers, spacing)), strict=True))
    assert offsets.shape == (1, min((stop - start - GRAM + 1) // 9, 4))
    for offset, key in zip(offsets[0].tolist(), keys[0].tolist(), strict=True):
        assert there[start + offset] == key


def test_the_spacing_of_short_and_long_streams() -> None:
    assert [spacing_for(n).shortest for n in (1 << 22, 1 << 25, 1 << 40)] == [16, 32, 64]
