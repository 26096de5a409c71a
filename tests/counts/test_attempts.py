"""What the final weights saw: the fast way against a list that is cut and put together by hand."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import coverage_audit as ca
from coverage_audit.counts.attempts import AttemptCount
from coverage_audit.counts.load import sources_of
from coverage_audit.counts.resumes import _by_label, find_resumes
from coverage_audit.counts.source import Origin
from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.event import Batch, BatchRows, Consumed, Event, Found, Mark, MarkKind
from coverage_audit.model.rows import Repeats, RowSet
from coverage_audit.model.run import SplitInfo
from coverage_audit.result import Verdict
from coverage_audit.runlog.reader import read_log
from coverage_audit.testing.logs import write_log
from coverage_audit.testing.runs import shards_of

N = 8
SHARDS = shards_of(5, 3)


@dataclass(frozen=True)
class Save:
    tag: str | int


@dataclass(frozen=True)
class Load:
    tag: str | int | None


Op = tuple[int, ...] | Save | Load


def mark(kind: MarkKind, **data: Any) -> Mark:
    return Mark(kind, "train", 0, data)


def events_of(ops: list[Op], *, trained: bool) -> list[Event]:
    out: list[Event] = [mark(MarkKind.FIT_BEGIN, peek=-1)] if trained else []
    out.append(mark(MarkKind.OPENED, segment=0))
    number = 0
    for op in ops:
        if isinstance(op, Save):
            out.append(mark(MarkKind.CHECKPOINT, tag=op.tag))
        elif isinstance(op, Load):
            out.append(mark(MarkKind.RESTORED, tag=op.tag))
        else:
            rows = BatchRows(len(op), ids=np.array(op, np.int64))
            out.append(Batch("train", number, rows, int(Found.EXPLICIT)))
            out += [Consumed("train", 1)] if trained else []
            number += 1
    return [*out, Mark(MarkKind.CLOSED)]


def stitched_by_hand(attempts: list[list[Op]]) -> list[Op]:
    """The steps that the weights hold in the end: what was saved is a copy of the list, what is loaded replaces it."""
    weights: list[Op] = []
    saved: dict[str | int, list[Op]] = {}
    for op in (op for ops in attempts for op in ops):
        if isinstance(op, Save):
            saved[op.tag] = list(weights)
        elif isinstance(op, Load):
            weights = [] if op.tag is None else list(saved[op.tag])
        else:
            weights.append(op)
    return weights


def counted(attempts: list[list[Op]], *, trained: bool, steps_per_epoch: int | None) -> SplitCounts:
    info = SplitInfo("train", SHARDS.fingerprint, steps_per_epoch=steps_per_epoch)
    with tempfile.TemporaryDirectory() as folder:
        for restart, ops in enumerate(attempts):
            write_log(f"{folder}/run.parquet", SHARDS, events_of(ops, trained=trained), splits=[info], restart=restart)
        return ca.audit(f"{folder}/run.parquet").splits[0].counts


def _times(repeated: Repeats) -> tuple[RowSet, list[int]]:
    return repeated.rows, repeated.extra.tolist()


def facts(counts: SplitCounts) -> tuple[Any, ...]:
    epochs = [(e.epoch, e.complete, e.steps, e.visits, e.missed, _times(e.repeated), e.spans) for e in counts.epochs]
    passes = [(p.pass_, p.pass_from, p.complete, p.batches, p.visits, p.missed, p.repeated) for p in counts.passes]
    return epochs, passes, counts.steps, counts.visits, counts.run_visits.tolist(), dict(counts.batch_sizes)


@st.composite
def runs(draw: st.DrawFn) -> list[list[Op]]:
    """Attempts that load something they can load, or nothing, and may load again in the middle."""
    batches = st.lists(st.integers(0, N - 1), min_size=1, max_size=3).map(tuple)
    tags: list[str | int] = ["a", "b", 3]
    saved: set[str | int] = set()
    attempts: list[list[Op]] = []
    for attempt in range(draw(st.integers(1, 4))):
        ops: list[Op] = [Load(draw(st.sampled_from([None, *sorted(saved, key=str)])))] if attempt else []
        for _ in range(draw(st.integers(0, 8))):
            kind = draw(st.sampled_from("ssssssal"))
            if kind == "a":
                tag = draw(st.sampled_from(tags))
                saved.add(tag)
                ops.append(Save(tag))
            elif kind == "l" and saved and any(isinstance(op, tuple) for op in ops):
                ops.append(Load(draw(st.sampled_from(sorted(saved, key=str)))))
            else:
                ops.append(draw(batches))
        attempts.append(ops)
    return attempts


@settings(max_examples=120, deadline=None)
@given(runs(), st.booleans(), st.sampled_from([None, 1, 3]))
# The first part of what counts is no begin of a record: new weights were saved before their first step.
@example([[(0,)] * 6, [Load(None), Save("a")], [Load(None), (0,), (0,), Load("a"), (1,), (2,)]], False, 1)
@example([[(0,)] * 6, [Load(None), Save("a")], [Load(None), (0,), Load("a"), (1,), (2,), (3,), (4,)]], True, 3)
def test_the_final_weights_saw_what_the_list_holds(
    attempts: list[list[Op]], trained: bool, steps_per_epoch: int | None
) -> None:
    kept = stitched_by_hand(attempts)
    made = [op for ops in attempts for op in ops if isinstance(op, tuple)]

    counts = counted(attempts, trained=trained, steps_per_epoch=steps_per_epoch)

    assert facts(counts) == facts(counted([kept], trained=trained, steps_per_epoch=steps_per_epoch))
    assert (counts.all_steps, counts.all_visits) == (len(made), sum(map(len, made)))
    assert sum(a.steps_kept for a in counts.attempts) == len(kept)
    assert (counts.restarts_unplaced, counts.restart_problems) == (0, ())


def record(log: Path, epochs: list[list[list[int]]], **options: Any) -> ca.Recorder:
    """The epochs' batches into the log; ``stop``: how many steps, None for all; ``save``: (after which step, tag)."""
    stop, save, restored = options.get("stop"), options.get("save"), options.get("restored")
    state = options.get("state")
    rec = ca.Recorder(log, ca.Dataset.of(N, name="x"), batch_size=2, run_id="r")
    if restored is not None:
        rec.restored(restored)
    if state is not None:
        rec.load_state_dict(state)
    steps = 0
    for batches in epochs:
        if steps == stop:
            break
        with rec.epoch():
            for batch in batches:
                rec.step(batch)
                steps += 1
                if save is not None and save[0] == steps:
                    rec.checkpoint(save[1])
                if steps == stop:
                    rec.close()
                    return rec
    rec.close()
    return rec


ONE = [[0, 1], [2, 3], [4, 5], [6, 7]]
OTHER = [[7, 0], [6, 1], [5, 2], [4, 3]]


def epochs_of(log: Path) -> list[tuple[int, bool, int, int, int]]:
    counts = ca.audit(log).splits[0].counts
    return [(e.epoch, e.complete, e.steps, e.missed.size, e.surplus) for e in counts.epochs]


def test_an_epoch_cut_and_gone_on_with_is_one_epoch(tmp_path: Path) -> None:
    """GIVEN a run that dies two steps beyond its checkpoint WHEN it goes on exactly there THEN nothing is wrong."""
    log = tmp_path / "run.parquet"
    record(log, [ONE, OTHER], stop=7, save=(5, "c"))
    record(log, [OTHER[1:], ONE], restored="c")

    result = ca.audit(log)

    assert result.verdict is Verdict.PASS
    assert epochs_of(log) == [(0, True, 4, 0, 0), (1, True, 4, 0, 0), (2, True, 4, 0, 0)]
    assert result.splits[0].counts.attempts == (
        AttemptCount(0, None, 7, 5, 14, 10, "closed"),
        AttemptCount(1, Origin("c", 0, 5), 7, 7, 14, 14, "closed"),
    )


def test_a_checkpoint_between_epochs_begins_the_next_one(tmp_path: Path) -> None:
    log = tmp_path / "run.parquet"
    record(log, [ONE, OTHER], stop=6, save=(4, "c"))
    record(log, [OTHER, ONE], restored="c")

    assert epochs_of(log) == [(0, True, 4, 0, 0), (1, True, 4, 0, 0), (2, True, 4, 0, 0)]


def test_a_tag_saved_again_is_the_newest(tmp_path: Path) -> None:
    log = tmp_path / "run.parquet"
    record(log, [ONE, OTHER], stop=5, save=(2, "last"))
    record(log, [ONE[2:], OTHER], restored="last", save=(3, "last"), stop=5)
    record(log, [OTHER[1:]], restored="last")

    assert epochs_of(log) == [(0, True, 4, 0, 0), (1, True, 4, 0, 0)]
    counts = ca.audit(log).splits[0].counts
    assert [(a.attempt, a.steps, a.steps_kept) for a in counts.attempts] == [(0, 5, 2), (1, 5, 3), (2, 3, 3)]


@pytest.mark.parametrize("saved_in", [None, "another"])
def test_a_checkpoint_nobody_saved_is_an_unknown_restore_point(tmp_path: Path, saved_in: str | None) -> None:
    log = tmp_path / "run.parquet"
    record(log, [ONE], save=None if saved_in is None else (2, saved_in))
    record(log, [OTHER], restored="c")

    result = ca.audit(log)

    assert result.verdict is Verdict.INCOMPLETE
    assert [f.message for f in result.findings if f.code == "CA901"] == [
        "checkpoint 'c' was restored and never saved in this log, so what the weights had seen by then is unknown"
    ]
    assert epochs_of(log) == [(0, True, 4, 0, 0), (1, True, 4, 0, 0)]


def test_a_restart_that_says_nothing_counts_further_epochs(tmp_path: Path) -> None:
    log = tmp_path / "run.parquet"
    record(log, [ONE], save=(2, "c"))
    record(log, [OTHER])

    result = ca.audit(log)

    assert result.verdict is Verdict.INCOMPLETE
    assert [f.message for f in result.findings if f.code == "CA901"] == ["1 restart without a known restore point"]
    assert epochs_of(log) == [(0, True, 4, 0, 0), (1, True, 4, 0, 0)]


def test_state_dict_goes_on_counting_epochs(tmp_path: Path) -> None:
    log = tmp_path / "run.parquet"
    rec = ca.Recorder(log, ca.Dataset.of(N, name="x"), batch_size=2, run_id="r")
    with rec.epoch():
        for batch in ONE:
            rec.step(batch)
    with rec.epoch():
        rec.step(OTHER[0])
        state = rec.state_dict()
        rec.step(OTHER[1])
    rec.close()
    assert state == {"tag": "a000-r0000-p0001:train:1", "epoch": 1, "in_epoch": True, "steps": 5}

    record(log, [OTHER[1:], ONE], state=state)

    assert ca.audit(log).verdict is Verdict.PASS
    counts = ca.audit(log).splits[0].counts
    assert [(e.epoch, e.number, e.steps) for e in counts.epochs] == [(0, 0, 4), (1, 1, 4), (2, 2, 4)]


def test_a_state_saved_after_the_last_step_leaves_nothing_to_do(tmp_path: Path) -> None:
    """WHEN the epoch of the state has no batch left THEN going on with it adds no epoch."""
    log = tmp_path / "run.parquet"
    rec = ca.Recorder(log, ca.Dataset.of(N, name="x"), batch_size=2, run_id="r")
    with rec.epoch():
        for batch in ONE:
            rec.step(batch)
        state = rec.state_dict()
    rec.close()

    record(log, [[], OTHER], state=state)

    assert epochs_of(log) == [(0, True, 4, 0, 0), (1, True, 4, 0, 0)]


def test_a_rewind_inside_one_process_drops_what_lay_between(tmp_path: Path) -> None:
    """GIVEN a loss that explodes WHEN the weights go back and the loader too THEN the steps between do not count."""
    log = tmp_path / "run.parquet"
    with ca.Recorder(log, ca.Dataset.of(N, name="x"), batch_size=2, run_id="r") as rec:
        with rec.epoch():
            for at, batch in enumerate([*ONE[:3], *ONE[1:]]):
                if at == 3:
                    rec.restored("good")
                rec.step(batch)
                if at == 0:
                    rec.checkpoint("good")
        with rec.epoch():
            for batch in OTHER:
                rec.step(batch)

    result = ca.audit(log)

    assert result.verdict is Verdict.PASS
    assert epochs_of(log) == [(0, True, 4, 0, 0), (1, True, 4, 0, 0)]
    assert (result.splits[0].counts.all_visits, result.splits[0].counts.visits) == (20, 16)


def test_ranks_that_are_silent_restore_with_the_others(tmp_path: Path) -> None:
    """GIVEN two ranks of which only the first tells of checkpoints THEN the other is cut after as many steps."""
    info = SplitInfo("train", SHARDS.fingerprint)
    mine: list[list[Op]] = [[(0, 1), Save("c"), (2,)], [Load("c"), (2,), (3,)]]
    others: list[list[Op]] = [[(4,), (5, 6)], [(5, 6), (7,)]]
    for rank, attempts in enumerate([mine, others]):
        for restart, ops in enumerate(attempts):
            write_log(
                tmp_path / "run.parquet", SHARDS, events_of(ops, trained=True), splits=[info], rank=rank, world_size=2,
                restart=restart,
            )  # fmt: skip

    counts = ca.audit(tmp_path / "run.parquet").splits[0].counts

    assert counts.run_visits.tolist() == [1] * N
    assert [(a.steps, a.steps_kept, a.visits_kept) for a in counts.attempts] == [(2, 1, 3), (2, 2, 5)]


@settings(max_examples=40, deadline=None)
@given(runs(), st.sampled_from([None, 3]))
def test_told_epochs_join_as_if_passes_were_looked_for(attempts: list[list[Op]], steps: int | None) -> None:
    """GIVEN restores WHEN every batch tells its epoch THEN what came before and after each is found without passes."""
    info = SplitInfo("train", SHARDS.fingerprint, steps_per_epoch=steps)
    with tempfile.TemporaryDirectory() as folder:
        for restart, ops in enumerate(attempts):
            write_log(f"{folder}/run.parquet", SHARDS, events_of(ops, trained=True), splits=[info], restart=restart)
        (source,) = sources_of([read_log(f"{folder}/run.parquet")], None, lambda *_: [])
        quick = find_resumes(source)
        with patch("coverage_audit.counts.resumes._by_epoch", _by_label):
            assert find_resumes(source) == quick
