"""Loops of every kind, played without torch: what is told of a step is what was trained on, or that it is unknown."""

from __future__ import annotations

import itertools
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_keras_training import rows_by

import coverage_audit as ca
from coverage_audit.adapters.torch_iteration import Iteration, Pattern
from coverage_audit.adapters.torch_loop import Loop
from coverage_audit.runlog.reader import read_log

HELD_OUT = 5000


@dataclass(frozen=True)
class Aside:
    """What a loop does with other data after one of its batches."""

    after: int
    kind: str  # an evaluation without gradients, one with, one that is left; a look at one batch, or at all of them
    batches: int


@dataclass(frozen=True)
class Epoch:
    """``skipped``: batches that are pulled and not used; ``stop``: the loop is left with this batch in its hand."""

    asides: tuple[Aside, ...] = ()
    skipped: frozenset[int] = frozenset()
    stop: int = 99


@dataclass(frozen=True)
class Play:
    """A training of some epochs: a step after ``per_step`` batches that were used, and after the last of an epoch if
    ``flushes``. ``sized``: the loader has a length."""

    batches: int
    per_step: int
    epochs: tuple[Epoch, ...]
    flushes: bool = False
    sized: bool = True


@dataclass
class Stage:
    """Plays, and writes down what really was trained and evaluated: one row per batch."""

    loop: Loop
    trained: list[list[int]] = field(default_factory=list)
    evaluated: list[list[int]] = field(default_factory=list)
    rows: Any = field(default_factory=itertools.count)

    def play(self, play: Play) -> None:
        pattern, asides = Pattern(), Pattern()
        waiting: list[list[int]] = []
        for epoch in play.epochs:
            told = Iteration(pattern, object(), length=play.batches if play.sized else None)
            self.loop.begin(told)
            for k in range(play.batches):
                row = [next(self.rows)]
                self.loop.take(told, row, gradients=True)
                if k == epoch.stop:
                    self.loop.leave(told)
                    break
                if k not in epoch.skipped:
                    waiting.append(row)
                    if len(waiting) == play.per_step or (play.flushes and k == play.batches - 1):
                        self.step(waiting)
                for aside in epoch.asides:
                    if aside.after == k and not waiting:
                        self.turn(aside, asides)
            else:
                self.loop.end(told, "exhausted")
        self.loop.finish()

    def step(self, waiting: list[list[int]]) -> None:
        self.trained += waiting
        waiting.clear()
        self.loop.stepped(1)
        self.loop.stepped(2)

    def turn(self, aside: Aside, pattern: Pattern) -> None:
        told = Iteration(pattern, object(), length=aside.batches)
        self.loop.begin(told)
        for _ in range(1 if aside.kind == "look" else aside.batches):
            evaluates = aside.kind not in ("look", "statistics")
            row = [next(self.rows) + (HELD_OUT if evaluates else 0)]
            self.loop.take(told, row, gradients=aside.kind in ("careless", "look", "statistics"))
            if evaluates:
                self.evaluated.append(row)
        if aside.kind in ("careful", "careless", "statistics"):
            self.loop.end(told, "exhausted")
        else:
            self.loop.leave(told)


def held_out(batch: Any) -> Any:
    if batch[0] < HELD_OUT:
        raise ValueError("it is not held out")
    return np.array(batch)


def trained(batch: Any) -> Any:
    if batch[0] >= HELD_OUT:
        raise ValueError("it is not of the training data")
    return np.array(batch)


def check(play: Play, folder: Path) -> tuple[int, int]:
    """Play, compare, and count the steps whose rows are unknown: of training, of evaluation."""
    log = folder / "run.parquet"
    rec = ca.Recorder(log, ca.Dataset.of(HELD_OUT), ids=trained)
    val = ca.Recorder(log, ca.Dataset.of(2 * HELD_OUT, name="held out"), ids=held_out, split="validation")
    stage = Stage(Loop(rec.stream, val.stream))
    stage.play(play)
    rec.close()
    val.close()
    unknown = []
    for split, truth in (("train", stage.trained), ("validation", stage.evaluated)):
        steps = [rows for _, rows in rows_by(read_log(log), split, stepped=True)]
        known = [rows for rows in steps if rows[0] >= 0]
        later = iter(truth)
        assert all(rows in later for rows in known), (split, steps, truth)
        unknown.append(len(steps) - len(known))
        if unknown[-1] == 0:
            assert known == truth
    return unknown[0], unknown[1]


KINDS = ("careful", "careless", "left", "look", "statistics")
ASIDES = st.builds(Aside, st.integers(0, 7), st.sampled_from(KINDS), st.integers(1, 3))
EPOCHS = st.builds(
    Epoch,
    st.lists(ASIDES, max_size=2).map(tuple),
    st.just(frozenset()),
    st.one_of(st.just(99), st.integers(0, 7)),
)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 8), st.lists(EPOCHS, min_size=1, max_size=3), st.booleans())
@example(3, [Epoch((Aside(0, "careless", 2),)), Epoch(stop=1)], True)
def test_a_step_for_each_batch_leaves_nothing_unknown(n: int, epochs: list[Epoch], sized: bool) -> None:
    """
    GIVEN loops that step after every batch, left early or not, with evaluations and looks in between
    THEN each step has its rows; of an evaluation that was left only the last is unknown
    """
    with tempfile.TemporaryDirectory() as folder:
        of_training, of_evaluation = check(Play(n, 1, tuple(epochs), sized=sized), Path(folder))
    left = sum(a.kind == "left" and a.after < min(n, e.stop) for e in epochs for a in e.asides)
    assert (of_training, of_evaluation) == (0, left)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(2, 8),
    st.integers(1, 3),
    st.lists(
        st.builds(
            Epoch,
            st.lists(ASIDES, max_size=1).map(tuple),
            st.frozensets(st.integers(1, 7), max_size=1),
            st.one_of(st.just(99), st.integers(1, 7)),
        ),
        min_size=1,
        max_size=3,
    ),
    st.booleans(),
)
@example(5, 1, [Epoch(skipped=frozenset({2}))], False)
@example(5, 2, [Epoch(), Epoch()], False)
def test_whatever_else_comes_is_right_or_unknown(n: int, per_step: int, epochs: list[Epoch], flushes: bool) -> None:
    """GIVEN gradients that are accumulated, or a batch that is left out THEN no step has wrong rows."""
    plain = per_step == 1
    plays = tuple(e if plain else Epoch(e.asides, frozenset(), 99) for e in epochs)
    with tempfile.TemporaryDirectory() as folder:
        check(Play(n, per_step, plays, flushes=flushes), Path(folder))


def test_accumulated_gradients_are_seen_by_the_second_step(tmp_path: Path) -> None:
    """GIVEN two batches per step, an odd one at the end of each epoch THEN nothing is unknown, however it is used."""
    for at, flushes in enumerate((True, False)):
        folder = tmp_path / str(at)
        folder.mkdir()
        assert check(Play(7, 2, (Epoch(), Epoch()), flushes=flushes), folder) == (0, 0)
