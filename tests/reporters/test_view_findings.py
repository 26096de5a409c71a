"""A finding in words: how much it explains, which rows, in which epochs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import story

from coverage_audit.counts.tables import EpochCount
from coverage_audit.model.finding import Severity
from coverage_audit.model.rows import Repeats, RowSet
from coverage_audit.reporters.view_findings import word
from coverage_audit.result import SplitResult, Totals, Verdict


def split_with(*missed: RowSet, totals: tuple[int, int] = (0, 0)) -> SplitResult:
    """One epoch per argument, over shards a and b of 10 rows each."""
    shards = story.shards_of(("a", 10), ("b", 10))
    epochs = tuple(
        EpochCount(e, 0, True, 1, 20 - len(rows), 20 - len(rows), rows, Repeats.none())
        for e, rows in enumerate(missed)
    )  # fmt: skip
    counts = story.counted(shards, [range(20)], 1, 0)

    whole = Totals(len(epochs), 1, 1, 20, 0, 0, totals[0], totals[1], 0, 0, 0, 0)
    return SplitResult(replace(counts, epochs=epochs), Verdict.FAIL, whole)


def extent(split: SplitResult | None, **facts: Any) -> str:
    return word(story.finding("CA101", "missed-rows", Severity.ERROR, "m", **facts), split).extent


TAIL = RowSet.span(16, 20)
NOTHING = RowSet.empty()


@pytest.mark.parametrize(
    ("missed", "epochs", "said"),
    [
        ((TAIL, TAIL, TAIL), (0, 1, 2), "rows: b 6–9 (every epoch)"),
        ((TAIL, NOTHING, TAIL), (0, 2), "rows: b 6–9 (epochs 0, 2)"),
        ((TAIL, RowSet.span(0, 3), NOTHING), (0, 1), "first: b 6–9 (epoch 0)"),
        ((TAIL,), (0,), "rows: b 6–9 (epoch 0)"),
        ((RowSet.span(17, 20),), (0,), "first: b 6–9"),
        ((RowSet.span(3, 20),), (0,), "rows: b 6–9 (epoch 0)"),
    ],
)
def test_epochs_are_looked_up(missed: tuple[RowSet, ...], epochs: tuple[int, ...], said: str) -> None:
    assert extent(split_with(*missed), epochs=epochs, rows=4, ranges=(("b", 6, 10),)) == said


def test_ranges_are_capped_and_the_rest_stated() -> None:
    ranges = tuple(("a", at, at + 1) for at in range(0, 10, 2))
    holes = RowSet.of_ids(range(0, 10, 2))
    split = split_with(holes, NOTHING)
    assert extent(split, epochs=(0,), rows=5, ranges=ranges) == "first: a 0, a 2, a 4 (epoch 0) and 2 more ranges"
    assert extent(split, epochs=(0,), rows=5, ranges=ranges, truncated=True) == (
        "first: a 0, a 2, a 4 (epoch 0) and more than 2 other ranges"
    )


@pytest.mark.parametrize(
    ("totals", "explained", "said"),
    [
        ((186, 0), 186, "explains all 186 missed row-epochs"),
        ((0, 12), 12, "explains all 12 repeated row-epochs"),
        ((1, 0), 1, "explains the 1 missed row-epoch"),
        ((186, 12), 198, "explains all 186 missed and 12 repeated row-epochs"),
        ((186, 0), 100, "explains 100 of 186 missed row-epochs"),
        ((1186, 12), 100, "explains 100 of 1,198 missed or repeated row-epochs"),
        ((186, 12), 0, ""),
    ],
)
def test_how_much_it_explains(totals: tuple[int, int], explained: int, said: str) -> None:
    assert extent(split_with(NOTHING, totals=totals), explained=explained) == said


def test_a_finding_of_the_whole_run_has_no_epochs_to_look_in() -> None:
    assert extent(None, rows=4, ranges=(("b", 6, 10),)) == "rows: b 6–9"
