"""Rows told by what was read lately: believed only where the values follow from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import coverage_audit as ca
from coverage_audit.identity.declared import Declared
from coverage_audit.identity.inferred import Inferred, counts_up, follows
from coverage_audit.identity.origins import Origins
from coverage_audit.identity.reads import Reads
from coverage_audit.identity.shadows import Span
from coverage_audit.sources.contents import Contents

ROWS = np.random.default_rng(0).normal(size=(16, 4, 3)).astype("f4")


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("as they are", ROWS),
        ("standardised as a whole", (ROWS - ROWS.mean()) / ROWS.std()),
        ("standardised per column", (ROWS - ROWS.mean(0)) / ROWS.std(0)),
        ("half precision", ROWS.astype("f2")),
        ("flat", 2 * ROWS.reshape(16, -1) + 1),
    ],
)
def test_an_affine_map_of_the_rows_is_believed(name: str, seen: np.ndarray) -> None:
    assert follows(seen, ROWS)


@pytest.mark.parametrize(
    ("name", "seen", "stored"),
    [
        ("another order", ROWS[::-1], ROWS),
        ("negated, which could be another order", -ROWS, ROWS),
        ("two rows swapped", ROWS[[1, 0, *range(2, 16)]], ROWS),
        ("some rows flipped", np.concatenate((ROWS[:8, :, ::-1], ROWS[8:])), ROWS),
        ("noise", ROWS + np.random.default_rng(1).normal(size=ROWS.shape), ROWS),
        ("no linear map", np.exp(ROWS), ROWS),
        ("constant", np.zeros_like(ROWS), ROWS),
        ("too few rows", ROWS[:7], ROWS[:7]),
        ("identical rows", ROWS[[0] * 16], ROWS[[0] * 16]),
        ("cropped", ROWS[:, :2], ROWS),
        ("not a number", np.where(ROWS > 2, np.nan, ROWS), ROWS),
        ("text", ROWS, ROWS.astype("U8")),
    ],
)
def test_anything_else_is_not(name: str, seen: np.ndarray, stored: np.ndarray) -> None:
    assert not follows(seen, stored)


@settings(max_examples=150, deadline=None)
@given(
    n=st.integers(8, 20),
    columns=st.integers(1, 5),
    seed=st.integers(0, 2**32 - 1),
    kinds=st.sampled_from(["f4", "u1", "bool", "i2"]),
)
def test_another_order_of_distinct_rows_is_never_believed(n: int, columns: int, seed: int, kinds: str) -> None:
    """GIVEN a standardised batch, its rows permuted THEN it is believed only where the permuted rows are equal."""
    rng = np.random.default_rng(seed)
    stored = (rng.normal(size=(n, columns)) * 50).astype(kinds)
    order = rng.permutation(n)
    spread = stored.std(0, dtype="f8")
    seen = (stored[order] - stored.mean(0, dtype="f8")) / np.where(spread > 0, spread, 1)
    if follows(seen, stored):
        assert np.array_equal(stored[order], stored)


def test_rows_that_are_their_own_numbers_say_nothing() -> None:
    """GIVEN data that counts up THEN any stretch of it is an affine map of any other, so none is believed."""
    numbers = np.arange(100.0)[:, None] * [1, 2]
    ids = np.arange(8, 16)
    assert follows(numbers[:8], numbers[8:16])
    assert counts_up(numbers[8:16], ids)
    assert not counts_up(ROWS[:8], ids)


TIME = np.arange(160.0)[:, None]
WAVES = np.sin(TIME / 20 * 2 * np.pi + [0, 1, 2])
GROWTH = np.exp(TIME / 30) * [1, 2, 3]
NOISE = np.random.default_rng(0).normal(size=(160, 3))


def inferred_of(folder: Path, stored: np.ndarray, starts: list[int], ahead: int) -> list[list[int] | None]:
    """What is inferred of standardised batches of 8 rows from these starts on, each read ``ahead`` batches before."""
    np.save(folder / "x.npy", stored)
    data, origins, reads = ca.Dataset.open(folder / "x.npy"), Origins(), Reads()
    origins.watch(str(folder / "x.npy"))
    origin = origins.opened(folder / "x.npy", "", len(stored))
    assert origin is not None
    declared = Declared(data.paths, data.members, data.partners, [len(stored)], origins)
    inferred = Inferred(declared, Contents(data), reads)
    told: list[list[int] | None] = []
    for at in range(len(starts) + ahead):
        if at < len(starts):
            reads.tell(Span(origin.base + starts[at], 1, 8))
        if at >= ahead:
            batch = stored[starts[at - ahead] :][:8]
            rows = inferred.tell((batch - batch.mean(0)) / batch.std(0), inferred.read_since(inferred.next_batch()))
            told.append(None if rows is None else np.asarray(rows).tolist())
    inferred.close()
    return told


def test_what_was_read_is_inferred_where_nothing_else_explains_it(tmp_path: Path) -> None:
    assert inferred_of(tmp_path, NOISE, [8, 0, 88], ahead=0) == [
        list(range(8, 16)),
        list(range(8)),
        list(range(88, 96)),
    ]


@pytest.mark.parametrize("stored", [WAVES, GROWTH], ids=["waves", "growth"])
@pytest.mark.parametrize("ahead", [1, 2])
def test_nothing_is_inferred_of_a_loader_that_reads_ahead_in_data_that_resembles_itself(
    tmp_path: Path, stored: np.ndarray, ahead: int
) -> None:
    """GIVEN stretches that are affine maps of each other THEN what was read last is not taken for what is yielded."""
    starts = [0, 40, 20, 60, 120, 80]
    right = [list(range(start, start + 8)) for start in starts]
    told = inferred_of(tmp_path, stored, starts, ahead)
    assert all(rows in (None, true) for rows, true in zip(told, right, strict=True))
