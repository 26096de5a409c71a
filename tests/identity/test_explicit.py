"""Ids that come with the batch: found, checked, taken out; never guessed."""

from __future__ import annotations

from collections import OrderedDict, UserDict
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from coverage_audit.errors import UsageError
from coverage_audit.identity.batches import Identified, Run, Unknown, count_rows, possible_lengths
from coverage_audit.identity.declared import Declared
from coverage_audit.identity.explicit import Explicit
from coverage_audit.identity.given import rows_of_step
from coverage_audit.identity.ladder import Ladder
from coverage_audit.model.event import BatchRows, Found

X = np.zeros((3, 2))
Y = np.zeros(3)
IDS = np.array([7, 0, 2])


def ids_in(answer: Any) -> Any:
    """Ids or pairs as a list."""
    if isinstance(answer, BatchRows):
        assert answer.shard is not None
        assert answer.row is not None
        assert (answer.shard.dtype, answer.row.dtype) == (np.int32, np.int64)
        return list(zip(answer.shard.tolist(), answer.row.tolist(), strict=True))
    assert answer.dtype == np.int64
    assert answer.flags.c_contiguous
    return answer.tolist()


class Pair(NamedTuple):
    x: Any
    ids: Any


@pytest.mark.parametrize(
    ("where", "batch", "rest"),
    [
        (2, (X, Y, IDS), (X, Y)),
        (0, (IDS, X, Y), (X, Y)),
        (-1, (X, Y, IDS), (X, Y)),
        (1, (X, IDS), (X,)),
        (1, [X, IDS, Y], [X, Y]),
        (1, Pair(X, IDS), (X,)),
        ("id", {"x": X, "id": IDS}, {"x": X}),
        ("id", ({"x": X, "id": IDS}, Y), ({"x": X}, Y)),
        ("id", [{"x": X, "id": IDS}, Y], [{"x": X}, Y]),
        ("id", OrderedDict(x=X, id=IDS), OrderedDict(x=X)),
        ("id", UserDict(x=X, id=IDS), UserDict(x=X)),
        ("id", MappingProxyType({"x": X, "id": IDS}), {"x": X}),
        (lambda batch: batch["id"] - 1, {"x": X, "id": IDS + 1}, {"x": X, "id": IDS + 1}),
        (lambda batch: (batch[1], batch[0]), (X, IDS), X),
    ],
)
def test_where_ids_are_and_what_goes_on(where: Any, batch: Any, rest: Any) -> None:
    """GIVEN ids in a batch WHEN they are taken out THEN the rest goes on, and the user's own batch is as it was."""
    parts_before = len(batch)
    handed_on, answer = Explicit(where).identify(batch)
    assert ids_in(answer) == [7, 0, 2]
    assert type(handed_on) is type(rest)
    np.testing.assert_equal(handed_on, rest)
    assert len(batch) == parts_before


def test_the_very_arrays_go_on() -> None:
    handed_on, _ = Explicit(2).identify((X, Y, IDS))
    assert handed_on[0] is X
    assert handed_on[1] is Y


@pytest.mark.parametrize(
    ("given_ids", "expected"),
    [
        ([7, 0, 2], [7, 0, 2]),
        (np.array([7, 0, 2], np.uint8), [7, 0, 2]),
        (np.array([7, 0, 2], ">i4"), [7, 0, 2]),
        (np.arange(6)[::2], [0, 2, 4]),
        (np.array([-1, 10**15, 2]), [-1, 10**15, 2]),
        ([(0, 5), (1, 0), (0, 6)], [(0, 5), (1, 0), (0, 6)]),
        (np.array([[0, 5], [9, 0], [-1, 6]]), [(0, 5), (9, 0), (-1, 6)]),
    ],
)
def test_ids_in_any_form(given_ids: Any, expected: Any) -> None:
    """Out of range is for the counts to judge: ids are taken as they are."""
    assert ids_in(Explicit(1).identify((X, given_ids))[1]) == expected


def test_tensors_of_torch() -> None:
    torch = pytest.importorskip("torch")
    handed_on, answer = Explicit(1).identify((torch.zeros(3, 2), torch.tensor([7, 0, 2])))
    assert ids_in(answer) == [7, 0, 2]
    assert len(handed_on) == 1


@pytest.mark.parametrize(
    ("given_ids", "unknown"),
    [
        ([7.0, 0.0, 2.0], Unknown(3, "the ids are not whole numbers", "they are float64")),
        ([True, False, True], Unknown(3, "the ids are not whole numbers", "they are bool")),
        (["a", "b", "c"], Unknown(3, "the ids are not whole numbers", "they are <U1")),
        ([None, 1, 2], Unknown(3, "the ids are not whole numbers", "they are object")),
        ([7, 0], Unknown(3, "the number of ids is not the number of rows", "2 ids, 3 rows")),
        ([], Unknown(3, "the number of ids is not the number of rows", "0 ids, 3 rows")),
        ([(0, 5)], Unknown(3, "the number of ids is not the number of rows", "1 ids, 3 rows")),
        (7, Unknown(3, "a single id was given, and nothing says that the batch is one row")),
        (7.0, Unknown(3, "the ids are neither a list nor (shard, row) pairs", "their shape is ()")),
        (
            np.zeros((3, 3), int),
            Unknown(3, "the ids are neither a list nor (shard, row) pairs", "their shape is (3, 3)"),
        ),
        (
            np.array([2**63, 0, 1], np.uint64),
            Unknown(3, "the ids do not fit into 64 bits with a sign", f"the largest is {2**63}"),
        ),
        (
            [(2**40, 0), (0, 0), (0, 0)],
            Unknown(3, "the shard numbers do not fit into 32 bits", f"they go up to {2**40}"),
        ),
    ],
)
def test_what_is_no_id_leaves_the_rows_unknown_and_is_still_taken_out(given_ids: Any, unknown: Unknown) -> None:
    handed_on, answer = Explicit(1).identify((X, given_ids))
    assert answer == unknown
    assert len(handed_on) == 1


ONE = np.zeros((1, 2))


@pytest.mark.parametrize("one", [7, np.int32(7), np.array(7), np.uint8(7)])
@pytest.mark.parametrize("rest", [(ONE, Y[:1]), (1.5, "a"), ({"x": np.float32(1), "y": None},), (b"jpeg",), ()])
def test_a_single_id_of_what_is_one_row_by_its_structure(one: Any, rest: tuple[Any, ...]) -> None:
    handed_on, answer = Explicit(0).identify((one, *rest))
    assert ids_in(answer) == [7]
    assert len(handed_on) == len(rest)


@pytest.mark.parametrize("rest", [(X, Y), (np.zeros(784), 3), ([1.0, 2.0],), (object(),), (ONE, object(), X)])
def test_a_single_id_of_what_may_be_several_rows(rest: tuple[Any, ...]) -> None:
    """GIVEN an array that is a batch or one sample WHEN a single id comes with it THEN only a declaration decides."""
    _, answer = Explicit(0).identify((7, *rest))
    assert isinstance(answer, Unknown)
    assert answer.reason == "a single id was given, and nothing says that the batch is one row"

    for way in (Explicit(0, one_row=True).identify, Explicit(0).identify_one):
        assert ids_in(way((7, *rest))[1]) == [7]
        assert ids_in(way((np.array([7]), *rest))[1]) == [7]
        assert ids_in(way((np.array([[2, 7]]), *rest))[1]) == [(2, 7)]


def test_a_pair_of_what_is_declared_to_be_one_row() -> None:
    """Two numbers are a pair only where the batch cannot have two rows."""
    two = np.zeros((2, 5))
    for pair in ((0, 5), [0, 5], np.array([0, 5])):
        assert ids_in(Explicit(1, one_row=True).identify((X, pair))[1]) == [(0, 5)]
        assert ids_in(Explicit(1, one_row=True).identify((two, pair))[1]) == [0, 5]
        assert ids_in(Explicit(1, one_row=True).identify((object(), pair))[1]) == [0, 5]
        assert isinstance(Explicit(1).identify((X, pair))[1], Unknown)


def test_what_is_declared_to_be_one_row_and_brings_other_ids() -> None:
    way = Explicit(1, one_row=True)
    assert ids_in(way.identify((X, IDS))[1]) == [7, 0, 2], "as many ids as rows say it better"
    assert way.identify((X[:2], IDS))[1] == Unknown(2, "the number of ids is not the number of rows", "3 ids, 2 rows")
    assert way.identify((X, 7.5))[1] == Unknown(
        3, "the ids are neither a list nor (shard, row) pairs", "their shape is ()"
    )
    assert way.identify((X, np.uint64(2**63)))[1] == Unknown(
        1, "the ids do not fit into 64 bits with a sign", f"the largest is {2**63}"
    )


def boom(batch: Any) -> Any:
    raise KeyError("no such thing")


@pytest.mark.parametrize(
    ("where", "batch", "unknown"),
    [
        (2, (X, Y), Unknown(3, "the batch has no position 2", "it has 2 parts")),
        (2, {"x": X}, Unknown(3, "the batch has no position 2", "it is a dict")),
        (0, X, Unknown(3, "the batch has no position 0", "it is a ndarray")),
        ("id", {"x": X}, Unknown(3, "the batch has no key 'id'", "it is a dict")),
        ("id", (X, {"id": IDS}), Unknown(3, "the batch has no key 'id'", "it is a tuple")),
        ("id", None, Unknown(-1, "the batch has no key 'id'", "it is a NoneType")),
        (boom, (X, Y), Unknown(3, "the callable of ids= raised", "KeyError: 'no such thing'")),
    ],
)
def test_ids_that_are_not_there_leave_the_batch_as_it_is(where: Any, batch: Any, unknown: Unknown) -> None:
    handed_on, answer = Explicit(where).identify(batch)
    assert answer == unknown
    assert handed_on is batch


def test_a_pair_of_numbers_is_two_ids_and_not_a_new_batch() -> None:
    batch = (np.zeros((2, 2)),)
    handed_on, answer = Explicit(lambda _: (np.int64(4), 9)).identify(batch)
    assert handed_on is batch
    assert ids_in(answer) == [4, 9]


@pytest.mark.parametrize("ids", [True, 1.5, ["id"], object()])
def test_what_ids_cannot_be(ids: Any) -> None:
    with pytest.raises(UsageError, match=r"ids=.*: give a key \(str\), a tuple position \(int\), or a callable"):
        Explicit(ids)


@given(
    ids=hnp.arrays(hnp.integer_dtypes(endianness="?"), st.integers(0, 20)),
    at=st.integers(0, 2),
)
def test_whole_numbers_of_any_kind_arrive_as_they_are(ids: Any, at: int) -> None:
    """GIVEN ids of any integer type at any place THEN they are the same numbers, or too large and said to be."""
    parts = [np.zeros((len(ids), 2)), np.zeros(len(ids))]
    parts.insert(at, ids)
    answer = Explicit(at).identify(tuple(parts))[1]
    if len(ids) and int(ids.max()) >= 2**63:
        assert isinstance(answer, Unknown)
    else:
        assert ids_in(answer) == ids.tolist()


@pytest.mark.parametrize(
    ("batch", "lengths", "rows"),
    [
        (X, {3}, 3),
        ((X, Y), {3}, 3),
        ({"x": X, "y": None}, {3}, 3),
        (np.zeros((0, 4)), {0}, 0),
        (np.float64(1), set(), -1),
        (None, set(), -1),
        ("text", set(), -1),
        ([X, X], {2, 3}, -1),
        (([X, X], Y), {3}, 3),
        ([1, 2, 3, 4], {4}, 4),
        ((["a", "b", "c"], Y), {3}, 3),
        ((X, np.zeros(5)), {3}, 3),
        ((np.zeros(()), Y), {3}, 3),
    ],
)
def test_how_many_rows_a_batch_has(batch: Any, lengths: set[int], rows: int) -> None:
    assert possible_lengths(batch) == lengths
    assert count_rows(batch) == rows


NOTHING = Ladder(Declared((), (), (), ()), provenance=False)


@pytest.mark.parametrize(
    ("rows", "answer"),
    [
        (slice(2, 6), Run(-1, 2, 4)),
        (slice(None, 3), Run(-1, 0, 3)),
        (slice(8, 99), Run(-1, 8, 2)),
        (slice(-2, None), Run(-1, 8, 2)),
        (range(4, 7), Run(-1, 4, 3)),
    ],
)
def test_a_step_named_by_a_run(rows: Any, answer: Run) -> None:
    assert rows_of_step(rows, NOTHING, 10) == (Found.EXPLICIT, answer)


@pytest.mark.parametrize(
    ("rows", "ids"),
    [
        (slice(0, 9, 4), [0, 4, 8]),
        (slice(None, None, -5), [9, 4]),
        (range(6, 0, -3), [6, 3]),
        (range(0), []),
        (slice(5, 5), []),
        ([3, 1], [3, 1]),
        ((3, 1, 2), [3, 1, 2]),
        ([], []),
        (np.array([3, 1]), [3, 1]),
        ([(0, 3), (1, 0)], [(0, 3), (1, 0)]),
        (np.array([[0, 3], [1, 0]]), [(0, 3), (1, 0)]),
    ],
)
def test_a_step_named_by_ids(rows: Any, ids: Any) -> None:
    found, answer = rows_of_step(rows, NOTHING, 10)
    assert found is Found.EXPLICIT
    assert ids_in(answer) == ids


def test_a_step_named_by_its_batch() -> None:
    found, answer = rows_of_step({"x": X, "id": IDS}, Explicit("id"), 10)
    assert found is Found.EXPLICIT
    assert ids_in(answer) == [7, 0, 2]


def test_a_slice_of_what_nobody_counted() -> None:
    """GIVEN no dataset THEN a slice with both ends is known, one that counts from the end is not."""
    assert rows_of_step(slice(2, 6), NOTHING, None) == (Found.EXPLICIT, Run(-1, 2, 4))
    reason = "a slice from the end of the data needs a dataset to be counted"
    assert rows_of_step(slice(2, None), NOTHING, None) == (Found.UNKNOWN, Unknown(-1, reason))
    assert rows_of_step(slice(-4, 6), NOTHING, None) == (Found.UNKNOWN, Unknown(-1, reason))


def test_floats_and_truth_values_are_no_rows() -> None:
    for rows, kind in (([1.0, 2.0], "float64"), (np.array([True, False]), "bool")):
        answer = rows_of_step(rows, NOTHING, 10)[1]
        assert answer == Unknown(-1, "the ids are not whole numbers", f"they are {kind}")


def test_an_array_that_is_a_piece_of_the_data_is_the_batch(tmp_path: Any) -> None:
    """GIVEN a file of whole numbers, and a slice of it WHEN it is given as the rows of a step THEN it is not ids."""
    np.save(tmp_path / "tokens.npy", np.arange(100, 140))
    tokens = np.load(tmp_path / "tokens.npy", mmap_mode="r")
    known = Ladder(Declared([tmp_path / "tokens.npy"], [""], [()], [40]), provenance=False)
    answer = rows_of_step(tokens[5:8], known, 40)[1]
    assert isinstance(answer, Identified)
    assert (answer.found, answer.rows) == (Found.VIEW, Run(0, 5, 3))
    assert ids_in(rows_of_step(np.arange(100, 140)[5:8], known, 40)[1]) == [105, 106, 107]
