"""Hashes to rows: equal to a dictionary from hash to the rows that have it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coverage_audit.model.rows import RowSet
from coverage_audit.sources import row_table
from coverage_audit.sources.row_hashes import hash_rows
from coverage_audit.sources.row_table import RowTable, build_table

FEW = st.lists(st.integers(0, 2**64 - 1) | st.sampled_from([0, 1, 2**63, 2**64 - 1, 7, 8]), max_size=60)


def table_of(hashes: list[int]) -> RowTable:
    return build_table(np.array(hashes, np.uint64), lambda at: at, len(hashes))


def rows_with(table: RowTable, h: int) -> list[int]:
    """Every row with this hash, as the table says."""
    (place,) = table.find(np.array([h], np.uint64)).tolist()
    if place < 0:
        return []
    row = int(table.named(np.array([place]))[0])
    return [row] if row >= 0 else table.group(-1 - row).tolist()


@given(FEW, FEW)
def test_a_table_is_a_dictionary(hashes: list[int], others: list[int]) -> None:
    table = table_of(hashes)
    for h in {*hashes, *others}:
        assert rows_with(table, h) == [row for row, one in enumerate(hashes) if one == h]
    several = [count for count in Counter(hashes).values() if count > 1]
    assert (table.groups, table.rows_in_groups) == (len(several), sum(several))


@given(st.lists(st.integers(0, 40).map(lambda i: i * 0x0102030405060708 % 2**64), max_size=80))
def test_sorting_in_parts_makes_the_same_table(hashes: list[int]) -> None:
    whole = table_of(hashes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_table, "PART", 8)
        parts = table_of(hashes)
    for name in row_table.COLUMNS:
        assert getattr(parts, name).tolist() == getattr(whole, name).tolist()


def test_hashes_that_share_their_first_bits_are_told_apart() -> None:
    """More of them than are looked at in one go, as no good hash would make them."""
    hashes = [(5 << 60) + i for i in range(50)]
    table = table_of(hashes)
    assert [rows_with(table, h) for h in hashes] == [[i] for i in range(50)]
    assert rows_with(table, (5 << 60) + 50) == []


def test_a_selection_has_the_members_of_a_group_to_itself() -> None:
    """GIVEN groups a a a, b b, c c WHEN only rows 1, 2 and 5 are meant THEN a is 1 or 2, b is 5, c is what it was."""
    table = table_of([10, 10, 10, 20, 30, 20, 30]).limited_to(RowSet.of_ids([1, 2, 5]))
    assert [rows_with(table, h) for h in (10, 20, 30)] == [[1, 2], [5], [4, 6]]


def test_rows_are_equal_by_type_and_bytes() -> None:
    zeros = np.zeros((1, 4), np.int32)
    one = hash_rows(np.arange(8, dtype=np.float32).reshape(2, 2, 2))
    assert hash_rows(zeros)[0] != hash_rows(zeros.view(np.float32))[0]
    assert one.tolist() == hash_rows(np.arange(8, dtype=">f4").reshape(2, 4)).tolist()
    assert one.tolist() == hash_rows(np.asfortranarray(np.arange(8, dtype=np.float32).reshape(2, 2, 2))).tolist()
    assert hash_rows(np.array([[0.0]]))[0] != hash_rows(np.array([[-0.0]]))[0]


@settings(max_examples=30)
@given(st.integers(1, 3000), st.integers(1, 3))
def test_a_row_has_one_hash_whatever_it_comes_with(width: int, n: int) -> None:
    """Short and long rows go two ways through the code."""
    rows = np.random.default_rng(width).integers(0, 256, (n, width), dtype=np.uint8)
    assert hash_rows(rows).tolist() == [int(hash_rows(rows[i : i + 1])[0]) for i in range(n)]
    assert len(set(hash_rows(rows).tolist())) == len({row.tobytes() for row in rows})
