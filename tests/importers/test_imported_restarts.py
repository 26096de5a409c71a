"""Restarts in imported logs: what the final weights saw, against its slow definition; checkpoints put in afterwards."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from import_formats import write_olmo

import coverage_audit as ca
from coverage_audit.importers.block import Block
from coverage_audit.importers.checkpoints import insert_checkpoint
from coverage_audit.importers.importing import import_log
from coverage_audit.model.event import Batch, BatchRows, Consumed, Event, Found, Mark, MarkKind
from coverage_audit.model.run import SplitInfo
from coverage_audit.runlog.journal import Journal, journal_path
from coverage_audit.runlog.journal_read import read_journal
from coverage_audit.testing.logs import write_events
from coverage_audit.testing.runs import shards_of

N_ROWS = 12


@st.composite
def logs_with_restarts(draw: st.DrawFn) -> list[tuple[int, list[int]]]:
    """(step, ids): steps that count up from 0 and now and then go back to one that was."""
    steps: list[tuple[int, list[int]]] = []
    at = 0
    for _ in range(draw(st.integers(1, 14))):
        if at > 0 and draw(st.integers(0, 4)) == 0:
            at = draw(st.integers(0, at - 1))
        ids = draw(st.lists(st.integers(0, N_ROWS - 1), min_size=1, max_size=3))
        if not steps or steps[-1][0] != at:  # consecutive lines of one step are one step
            steps.append((at, ids))
            at += 1
    return steps


@settings(max_examples=25, deadline=None)
@given(logs_with_restarts())
def test_the_final_weights_saw_the_last_line_of_every_step(steps: list[tuple[int, list[int]]]) -> None:
    final: list[list[int]] = []
    for step, ids in steps:
        final = [*final[:step], ids]
    shards = shards_of(N_ROWS)
    with tempfile.TemporaryDirectory() as folder:
        path = write_olmo(Path(folder) / "rank0.tsv.gz", steps)
        log = Path(folder) / "run.parquet"
        made = import_log("olmo", [path], log, SplitInfo("train", shards.fingerprint, steps_per_epoch=2), shards)
        (split,) = ca.audit(log).splits
    back = sum(b <= a for (a, _), (b, _) in itertools.pairwise(steps))
    assert made.attempts == 1 + back
    want = np.bincount([i for ids in final for i in ids], minlength=N_ROWS)
    assert split.counts.run_visits.tolist() == want.tolist()
    assert [e.steps for e in split.counts.epochs] == [min(2, len(final) - at) for at in range(0, len(final), 2)]


def test_ranks_that_restart_together(tmp_path: Path) -> None:
    """GIVEN two ranks that both went back from step 4 to step 3 THEN each row counts once."""
    files = []
    for rank in range(2):
        rows = {s: [4 * (s - 1) + 2 * rank, 4 * (s - 1) + 2 * rank + 1] for s in range(1, 7)}
        files.append(write_olmo(tmp_path / f"rank{rank}.tsv.gz", [(s, rows[s]) for s in (1, 2, 3, 4, 3, 4, 5, 6)]))
    shards = shards_of(24)
    info = SplitInfo("train", shards.fingerprint, batch_size=2, steps_per_epoch=6)
    made = import_log("olmo", files, tmp_path / "run.parquet", info, shards)
    assert (made.attempts, made.ranks) == (2, (0, 1))
    result = ca.audit(tmp_path / "run.parquet")
    (split,) = result.splits
    assert [(e.complete, e.missed.size, e.surplus) for e in split.counts.epochs] == [(True, 0, 0)]
    assert result.verdict is ca.Verdict.PASS


def test_a_restart_in_the_middle_of_a_told_epoch(tmp_path: Path) -> None:
    """GIVEN epochs of two steps, the second one begun twice THEN both are whole."""
    lines = ["0,0,0 1", "0,1,2 3", "1,2,3 2", "1,3,1 0", "1,3,0 1", "1,3,1 0", "2,4,0 1", "2,5,2 3"]
    del lines[4:6]
    lines[3:3] = ["1,3,1 0", "1,2,3 2"]
    (tmp_path / "log.csv").write_text("\n".join(["epoch,step,ids", *lines]))
    shards = shards_of(4)
    made = import_log("csv", [tmp_path / "log.csv"], tmp_path / "run.parquet", SplitInfo("train", shards.fingerprint),
                      shards)  # fmt: skip
    assert (made.attempts, [s for _, s in made.restarts]) == (2, [2])
    (split,) = ca.audit(tmp_path / "run.parquet").splits
    assert [(e.number, e.complete, e.steps, e.missed.size, e.surplus) for e in split.counts.epochs] == [
        (0, True, 2, 0, 0),
        (1, True, 2, 0, 0),
        (2, True, 2, 0, 0),
    ]


@pytest.mark.parametrize("roll_bytes", [1 << 20, 300])
def test_a_checkpoint_is_put_behind_its_step_and_nothing_else_changes(roll_bytes: int, tmp_path: Path) -> None:
    """Also where the journal goes on in further files."""
    events: list[Event] = [Mark(MarkKind.OPENED, "train", 0, {"segment": 1})]
    for number in range(6):
        events += [Batch("train", number, BatchRows(1, ids=np.array([number])), int(Found.EXPLICIT), 1)]
        events += [Consumed("train", 1)]
    journal = Journal(tmp_path, "a000-r0000-p0001", roll_bytes=roll_bytes)
    write_events(journal, events, ["train"])
    journal.close()

    insert_checkpoint(tmp_path, "a000-r0000-p0001", 4, "step-4")

    found: list[Event] = []
    roll = 0
    while (path := journal_path(tmp_path, "a000-r0000-p0001", roll)).exists():
        read = read_journal(path, ["train"])
        found += read.events()
        assert not read.torn
        roll += 1
    assert (roll > 1) == (roll_bytes == 300)
    assert repr(found) == repr([*events[:9], Mark(MarkKind.CHECKPOINT, "", 0, {"tag": "step-4"}), *events[9:]])


@given(
    lines=st.lists(st.tuples(st.integers(0, 4), st.lists(st.integers(0, 99), max_size=3)), min_size=1, max_size=20),
)
def test_lines_are_parted_by_rank_in_order(lines: list[tuple[int, list[int]]]) -> None:
    block = Block(
        "log.csv",
        2,
        np.array([i for _, ids in lines for i in ids], np.int64),
        np.array([len(ids) for _, ids in lines]),
        step=np.arange(len(lines)),
        rank=np.array([rank for rank, _ in lines]),
    )
    parted = dict(block.by_rank(0))
    assert sorted(parted) == sorted({rank for rank, _ in lines})
    for rank, part in parted.items():
        own = [(n, ids) for n, (of, ids) in enumerate(lines) if of == rank]
        assert part.ids.tolist() == [i for _, ids in own for i in ids]
        assert part.sizes.tolist() == [len(ids) for _, ids in own]
        assert part.step is not None
        assert part.step.tolist() == [n for n, _ in own]
        assert [part.place(i) for i in range(len(own))] == [f"log.csv:{2 + n}" for n, _ in own]
