"""Figures: what they show is what was counted, and the same result gives the same bytes."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import story
from hypothesis import given, settings
from hypothesis import strategies as st

from coverage_audit.model.rows import RowSet
from coverage_audit.reporters import figures
from coverage_audit.reporters.figure_position import drift, path
from coverage_audit.reporters.figure_visits import visits_grid
from coverage_audit.result import AuditResult, SplitResult

PNG = b"\x89PNG\r\n\x1a\n"


def title_of(draw: str, split: SplitResult) -> str:
    return figures.FIGURES[draw](split).axes[0].get_title(loc="left")


def test_titles_say_the_finding() -> None:
    short, clean = story.short_epochs().splits[0], story.clean().splits[0]
    assert title_of("epochs", short) == "50 steps an epoch, one pass needs 51: 186 row-epochs missed"
    assert title_of("epochs", clean) == "51 steps an epoch, as one pass needs: 0 row-epochs missed"
    assert title_of("visits", short) == "every row was seen 2 to 3 times in 3 epochs"
    assert title_of("visits", clean) == "every row was seen exactly 3 times in 3 epochs"
    assert title_of("position", short) == "each epoch starts 1 batch earlier in the pass"
    assert title_of("position", clean) == "every epoch starts where a pass starts"


def test_the_way_through_the_passes() -> None:
    # 50 steps an epoch through passes of 51
    begins, starts, segments = path(story.short_epochs().splits[0].counts.epochs)
    assert begins == [0, 50, 100]
    assert starts == [(0, 0), (50, 50), (100, 49)]
    assert segments == [
        ((0, 0), (50, 50)),
        ((50, 50), (51, 51)), ((51, 0), (100, 49)),
        ((100, 49), (102, 51)), ((102, 0), (150, 48)),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (51, "every epoch starts where a pass starts"),
        (102, "every epoch starts where a pass starts"),
        (50, "each epoch starts 1 batch earlier in the pass"),
        (52, "each epoch starts 1 batch later in the pass"),
        (41, "each epoch starts 10 batches earlier in the pass"),
    ],
)
def test_drift_is_counted_round_the_end_of_the_pass(steps: int, said: str) -> None:
    shards = story.shards_of(*story.STORY)
    assert drift(story.counted(shards, story.slices(shards, 64), steps, 8).epochs, "epoch") == said


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 900), min_size=1, max_size=300), st.data())
def test_a_row_that_was_never_seen_is_never_lost_in_its_cell(sizes: list[int], data: st.DataObject) -> None:
    # GIVEN any shards with rows, some of them not selected, and one selected row without a visit
    shards = story.shards_of(*[(f"{i}", n) for i, n in enumerate(sizes)], ("last", 1))
    hole = data.draw(st.integers(0, shards.n_ids - 1))
    left_out = RowSet.of_ids([i for i in data.draw(st.lists(st.integers(0, shards.n_ids - 1))) if i != hole])
    shards = replace(shards, selected=RowSet.span(0, shards.n_ids) - left_out)
    visits = np.full(shards.n_ids, 7, np.uint32)
    visits[hole] = 0
    visits[left_out.ids()] = 0
    counts = replace(story.counted(shards, [range(1)], 1, 1), run_visits=visits)
    # THEN exactly the hole's cell is empty, and cells without expected rows are none
    grid, per_cell, per_line = visits_grid(story.judged(counts))
    shard, row = (int(a[0]) for a in shards.locate([hole]))
    assert np.argwhere(grid == 0).tolist() == [[shard // per_line, row // per_cell]]
    assert set(np.unique(grid)) <= {-1, 0, 7}
    assert grid.shape[0] <= 240
    assert grid.shape[1] <= 360


def result_of(name: str) -> AuditResult:
    one = story.shards_of(("only.npy", 500))
    many = story.shards_of(*[(f"shard-{i:05d}.npy", 3) for i in range(10_000)])
    tiny = story.shards_of(("a.npy", 30), ("b.npy", 37))
    counts = {
        "one shard, one epoch": lambda: story.counted(one, story.slices(one, 64), 7, 1),
        "10,000 shards": lambda: story.counted(many, [range(30_000)], 1, 2),
        "1,000 epochs": lambda: story.counted(tiny, story.slices(tiny, 8), 8, 1000),
        "no dataset": lambda: story.counted(None, [range(3)] * 5, 4, 2),
        "no epochs": lambda: story.counted(one, story.slices(one, 64), 4, 0),
        "nothing visited": lambda: story.counted(one, story.slices(one, 64), 0, 1),
        "an empty shard": lambda: story.counted(story.shards_of(("a", 0), ("b", 9)), [range(9)], 1, 1),
        "no rows": lambda: story.counted(story.shards_of(("a", 0)), [range(0)], 1, 1),
        "math in names $x_1$": lambda: story.counted(
            story.shards_of(("$\\frac$_^{", 9)), [range(9)], 1, 1, split="$a^"
        ),
    }[name]
    return AuditResult(story.run_info(), (story.judged(counts()),), ())


@pytest.mark.parametrize(
    "name",
    [
        "one shard, one epoch", "10,000 shards", "1,000 epochs", "no dataset", "no epochs", "nothing visited",
        "an empty shard", "no rows", "math in names $x_1$",
    ],
)  # fmt: skip
def test_three_figures_of_anything(name: str, tmp_path: Path) -> None:
    paths = figures.write_figures(result_of(name), tmp_path / "new")
    assert len(paths) == 6
    for file in paths:
        data = file.read_bytes()
        assert data.startswith(PNG) if file.suffix == ".png" else data.startswith(b"<?xml")


def test_files_are_named_by_split_and_the_same_result_gives_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "matplotlib.pyplot", raising=False)  # of another test
    first = figures.write_figures(story.short_epochs(), tmp_path / "a")
    second = figures.write_figures(story.short_epochs(), tmp_path / "b")
    assert [p.name for p in first] == [
        "train-visits.png", "train-visits.svg", "train-epochs.png", "train-epochs.svg", "train-position.png",
        "train-position.svg",
    ]  # fmt: skip
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]
    assert "matplotlib.pyplot" not in sys.modules, "no window, no state shared with the user's own figures"
