"""Sample ids and (shard, row) say the same thing, shards without rows included."""

from __future__ import annotations

import dataclasses

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from coverage_audit.model.rows import RowSet
from coverage_audit.model.shards import MANY, Shard, Shards

sizes = st.lists(st.integers(0, 6), max_size=6)


def shards_of(rows: list[int], selected: RowSet | None = None) -> Shards:
    return Shards(tuple(Shard(f"x_{i}.npy", n) for i, n in enumerate(rows)), selected)


def pairs_of(shards: Shards) -> list[tuple[int, int]]:
    """(shard, row) of every id in order: the slow definition of a sample id."""
    return [(index, row) for index, shard in enumerate(shards) for row in range(shard.rows)]


@st.composite
def shards_and_rows(draw: st.DrawFn) -> tuple[Shards, RowSet]:
    shards = shards_of(draw(sizes))
    chosen = draw(st.lists(st.sampled_from(range(shards.n_ids)), max_size=12)) if shards.n_ids else []
    return shards, RowSet.of_ids(chosen)


def slow_pieces(shards: Shards, rows: RowSet) -> list[tuple[str, int, int]]:
    """Neighbours in one shard are one piece."""
    chosen = set(rows.ids().tolist())
    out: list[tuple[str, int, int]] = []
    for sample, (shard, row) in enumerate(pairs_of(shards)):
        name = shards[shard].name
        if sample in chosen and out and out[-1][0] == name and out[-1][2] == row:
            out[-1] = (name, out[-1][1], row + 1)
        elif sample in chosen:
            out.append((name, row, row + 1))
    return out


class TestIds:
    @given(sizes)
    def test_locate_and_ids_are_inverse(self, rows: list[int]) -> None:
        shards = shards_of(rows)
        every = np.arange(shards.n_ids)
        shard, row = shards.locate(every)
        assert list(zip(shard.tolist(), row.tolist(), strict=True)) == pairs_of(shards)
        assert shards.ids(shard, row).tolist() == every.tolist()
        assert (str(shard.dtype), str(row.dtype)) == ("int32", "int64")

    def test_what_is_outside_keeps_its_raw_id(self) -> None:
        shard, row = shards_of([3, 0, 2]).locate([-1, 0, 4, 5, 99])
        assert (shard.tolist(), row.tolist()) == ([-1, 0, 2, -1, -1], [-1, 0, 1, 5, 99])

    @settings(deadline=None)
    @given(st.lists(st.sampled_from([0, 1, 2, 900, 40_000, 70_000, 300_000]), max_size=6), st.integers(0, 2**32))
    def test_many_ids_are_located_as_each_alone(self, rows: list[int], seed: int) -> None:
        """GIVEN so many ids that a table is used, inside and outside, THEN each is where it is when asked for alone."""
        shards = shards_of(rows)
        ids = np.random.default_rng(seed).integers(-2, shards.n_ids + 2, MANY)
        near = np.concatenate([shards.offsets + d for d in (-1, 0, 1)])
        ids[: len(near)] = near
        for many in (ids, ids.clip(0, shards.n_ids - 1)):
            shard, row = shards.locate(many)
            some = [*range(len(near)), *range(len(near), MANY, 97)]
            alone = [shards.locate(many[at : at + 1]) for at in some]
            assert shard[some].tolist() == [int(s[0]) for s, _ in alone]
            assert row[some].tolist() == [int(r[0]) for _, r in alone]

    def test_without_shards_every_id_is_outside(self) -> None:
        shard, row = shards_of([]).locate([0, 7])
        assert (shard.tolist(), row.tolist()) == ([-1, -1], [0, 7])

    def test_the_denominator_is_the_selection(self) -> None:
        shards = shards_of([3, 2], selected=RowSet.of_ids([0, 4]))
        assert (shards.n_ids, shards.rows, shards.expected.ids().tolist()) == (5, 2, [0, 4])
        assert shards.expected_per_shard.tolist() == [1, 1]
        assert shards_of([3, 2]).expected_per_shard.tolist() == [3, 2]


class TestCountsAndPieces:
    @given(shards_and_rows())
    def test_count_per_shard(self, given: tuple[Shards, RowSet]) -> None:
        shards, rows = given
        chosen = rows.ids().tolist()
        owners = [pairs_of(shards)[i][0] for i in chosen]
        assert shards.count_per_shard(rows).tolist() == [owners.count(i) for i in range(len(shards))]

    @given(shards_and_rows())
    def test_pieces_and_their_number(self, given: tuple[Shards, RowSet]) -> None:
        shards, rows = given
        assert shards.pieces(rows) == slow_pieces(shards, rows)
        assert shards.n_pieces(rows) == len(slow_pieces(shards, rows))

    @given(shards_and_rows(), st.integers(0, 5))
    def test_the_first_pieces_only(self, given: tuple[Shards, RowSet], limit: int) -> None:
        shards, rows = given
        assert shards.pieces(rows, limit) == slow_pieces(shards, rows)[:limit]

    def test_a_range_over_three_shards(self) -> None:
        shards = shards_of([3, 0, 2, 4])
        assert shards.pieces(RowSet.span(1, 7)) == [("x_0.npy", 1, 3), ("x_2.npy", 0, 2), ("x_3.npy", 0, 2)]


class TestFingerprint:
    base = Shard("x_0.npy", 10, bytes=208, modified_ns=1)

    def fingerprint(self, **changes: object) -> str:
        return Shards((dataclasses.replace(self.base, **changes),)).fingerprint  # type: ignore[arg-type]

    def test_it_stays_the_same_in_every_version(self) -> None:
        assert self.fingerprint() == "a15529a36877b5a3"

    def test_name_rows_and_size_are_in_it(self) -> None:
        same = self.fingerprint()
        assert same not in (self.fingerprint(name="y"), self.fingerprint(rows=11), self.fingerprint(bytes=209))

    def test_copying_the_files_or_selecting_rows_changes_nothing(self) -> None:
        same = self.fingerprint()
        assert self.fingerprint(modified_ns=2) == same
        assert Shards((self.base,), RowSet.span(0, 5)).fingerprint == same

    def test_the_order_of_the_shards_is_in_it(self) -> None:
        a, b = Shard("a", 1), Shard("b", 1)
        assert Shards((a, b)).fingerprint != Shards((b, a)).fingerprint


@given(sizes)
def test_shards_as_json_and_back(rows: list[int]) -> None:
    shards = Shards(tuple(Shard(f"s{i}", n, bytes=8 * n, modified_ns=i, group="x") for i, n in enumerate(rows)))
    assert Shards.from_json(shards.to_json()) == shards
