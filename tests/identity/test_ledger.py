"""Views are told by where they lie in memory; whatever is reckoned without looking must say the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coverage_audit.identity.layout import Place, place_of_all
from coverage_audit.identity.leads import Known, Lead, dense, shape_of
from coverage_audit.identity.ledger import Ledger
from coverage_audit.identity.shadows import Span, Windows

LEADS: dict[str, tuple[Lead, tuple[int, ...]]] = {
    "a span": (Span(100, 1, 6), (6, 2, 3)),
    "a span, backwards": (Span(105, -1, 6), (6, 2, 3)),
    "tokens": (Span(100, 1, 24), (24,)),
    "windows": (Windows(np.array([100, -1, 300]), 4), (3, 4)),
    "windows of rows": (Windows(np.array([100, 200, 300]), 4), (3, 4, 2)),
    "ids": (np.array([7, -1, 9, 9, 3, 0]), (6, 2, 3)),
    "ids in a grid": (np.arange(12).reshape(3, 4) * 10, (3, 4, 2)),
    "one row": (42, (2, 3)),
}


def ledger_of(name: str, order: Any = "C") -> tuple[Ledger, Any]:
    lead, shape = LEADS[name]
    array = np.zeros(shape, np.int32, order=order)
    return Ledger(array, Known(lead, altered=False)), array


def ids_of(ledger: Ledger, place: Place | None) -> Any:
    assert place is not None
    lead = ledger.look(place)
    return None if lead is None else dense(lead).tolist()


def slices() -> st.SearchStrategy[slice]:
    bound = st.none() | st.integers(-7, 7)
    return st.builds(slice, bound, bound, st.sampled_from((None, 1, 2, -1, -2)))


@given(st.sampled_from([*LEADS]), st.lists(slices() | st.integers(-3, 2), max_size=2))
def test_a_view_has_the_ids_that_the_same_index_gives(name: str, key: list[Any]) -> None:
    """GIVEN a block of memory WHEN viewed THEN its ids are those of the ids, one by one, under the same index."""
    ledger, array = ledger_of(name)
    lead, _ = LEADS[name]
    axes = len(shape_of(lead))
    view = array[(*key[:axes], Ellipsis)]
    expected = dense(lead)[tuple(key[:axes])]
    place = ledger.place_of(view)
    if view.size == 0:
        return
    got = np.asarray(ids_of(ledger, place))
    # An axis of one entry may be left out at the end, or be the only one.
    assert got.ravel().tolist() == expected.ravel().tolist()


@given(st.sampled_from([*LEADS]), slices(), st.integers(0, 99))
def test_what_is_written_is_read(name: str, cut: slice, row_id: int) -> None:
    lead, _ = LEADS[name]
    if isinstance(lead, int):
        return
    ledger, array = ledger_of(name)
    expected = dense(lead).copy()
    expected[cut] = row_id
    view = array[cut]
    place = ledger.place_of(view)
    assert place is not None
    ledger.write(place, row_id)
    assert ids_of(ledger, ledger.place_of(array)) == expected.tolist()


@given(st.sampled_from(["a span", "ids"]), st.permutations([0, 1, 2]), st.lists(slices(), min_size=3, max_size=3))
def test_rows_in_any_order_in_memory(name: str, order: list[int], cuts: list[slice]) -> None:
    """GIVEN rows whose elements lie between those of others WHEN a view is told THEN it is right."""
    lead, shape = LEADS[name]
    array = np.zeros([shape[axis] for axis in order], np.int32).transpose(np.argsort(order))
    assert array.shape == shape
    ledger = Ledger(array, Known(lead, altered=False))
    assert ids_of(ledger, place_of_all(shape_of(lead))) == dense(lead).tolist()
    place = ledger.place_of(array[tuple(cuts)])
    if place is not None and 0 not in place.counts:
        assert np.ravel(ids_of(ledger, place)).tolist() == dense(lead)[cuts[0]].tolist()


def test_memory_that_is_shared_by_rows_is_not_told_apart() -> None:
    """Windows that overlap in memory: what is one element of a row is another one of the next."""
    array = np.lib.stride_tricks.sliding_window_view(np.arange(10), 3)
    ledger = Ledger(array, Known(Span(0, 1, 8), altered=False))
    assert ledger.place_of(array[2:4]) is None


@pytest.mark.parametrize("name", LEADS)
def test_two_ledgers_never_share_what_is_written(name: str) -> None:
    """GIVEN a copy that began with the same ids WHEN one is written to THEN the other keeps its own."""
    ledger, array = ledger_of(name)
    place = place_of_all(shape_of(LEADS[name][0]))
    lead = ledger.look(place)
    assert lead is not None
    before = dense(lead).tolist()
    other = Ledger(array.copy(), Known(lead, altered=False))
    ledger.write(place, -1)
    assert ids_of(other, place) == before
    assert dense(lead).tolist() == before


def test_a_lead_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^an array of shape \(6, 2\) does not begin with axes of shape \(5,\)$"):
        Ledger(np.zeros((6, 2)), Known(Span(0, 1, 5), altered=False))
