"""Tracked arrays among arrays of other classes: what comes out is what comes out of ordinary arrays."""

from __future__ import annotations

import operator
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coverage_audit.identity.origins import Key, Origin
from coverage_audit.identity.provenance import shadow_of, track, track_root
from coverage_audit.identity.shadows import Span

VALUES = np.arange(1, 7).reshape(3, 2)

NAMES = "add sub mul matmul truediv floordiv mod pow and_ or_ xor lshift rshift lt le eq ne gt ge"
OPERATORS: dict[str, Callable[[Any, Any], Any]] = {name: getattr(operator, name) for name in NAMES.split()}
OPERATORS["divmod"] = divmod


def tracked() -> Any:
    return track(VALUES.copy(), Span(0, 1, 3))


def outcome(run: Callable[[], Any]) -> tuple[str, Any]:
    """The class and the values of what comes out, or the error."""
    try:
        found = run()
    except (TypeError, ValueError) as error:
        return type(error).__name__, str(error)
    parts = found if isinstance(found, tuple) else (found,)
    return type(parts[0]).__name__, [np.ma.filled(part, -99).tolist() for part in parts]


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning", "ignore:invalid value", "ignore:divide by zero")
@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize(
    "make",
    [
        lambda: np.matrix([[1], [2]]),
        lambda: np.matrix([[1, 2], [0, 4], [5, 6]]),
        lambda: np.ma.masked_equal(np.array([[1, 2], [0, 2], [5, 6]]), 2),
        lambda: np.ma.masked_array(2, mask=True),
    ],
    ids=["column", "matrix", "masked", "masked number"],
)
def test_operators(name: str, make: Callable[[], Any]) -> None:
    apply = OPERATORS[name]
    assert outcome(lambda: apply(tracked(), make())) == outcome(lambda: apply(VALUES.copy(), make()))
    assert outcome(lambda: apply(make(), tracked())) == outcome(lambda: apply(make(), VALUES.copy()))


def test_rows_follow_operators_among_tracked_and_ordinary_arrays() -> None:
    assert shadow_of(tracked() * np.array([2, 3])) == Span(0, 1, 3)
    assert shadow_of(np.array([2, 3]) - tracked()) == Span(0, 1, 3)
    assert shadow_of(tracked() + tracked()) == Span(0, 1, 3)


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_views_of_memory_maps_are_memory_maps_to_operators(tmp_path: Path) -> None:
    """GIVEN a memory map, which no matrix takes for an array of its kind THEN it is multiplied element by element."""
    np.save(tmp_path / "x.npy", VALUES)
    origin = Origin(Key(str(tmp_path / "x.npy"), "", 3, 0), 3, 0, False)
    other = np.matrix([[1, 2], [3, 4]])
    plain: Any = np.load(tmp_path / "x.npy", mmap_mode="r")
    rows: Any = track_root(np.load(tmp_path / "x.npy", mmap_mode="r"), origin)
    assert (plain[:2] * other).tolist() == [[1, 4], [9, 16]]
    assert (rows[:2] * other).tolist() == [[1, 4], [9, 16]]
    assert (rows[[0, 1]] * other).tolist() == (plain[[0, 1]] * other).tolist() == [[7, 10], [15, 22]]
    with pytest.raises(ValueError, match="could not be broadcast"):
        rows * other


@pytest.mark.parametrize("kind", [">i4", "<f8"])
@pytest.mark.parametrize("shape", [(2, 2), (4, 2), (6,), (0,), (3, 2)])
def test_resize_in_place(shape: tuple[int, ...], kind: str) -> None:
    """GIVEN an array that owned its memory WHEN resized THEN it is as numpy would have it, and of no known rows."""
    expected = VALUES.astype(kind)
    expected.resize(shape)
    array = tracked().astype(kind)
    before = array[1:]
    array.resize(shape)
    assert (array.shape, array.dtype, array.tolist()) == (shape, np.dtype(kind), expected.tolist())
    array += 1
    assert shadow_of(array) is None
    assert before.tolist() == [[3, 4], [5, 6]]


def test_a_view_is_not_resized() -> None:
    with pytest.raises(ValueError, match="does not own its data"):
        tracked()[1:].resize((5, 2))
