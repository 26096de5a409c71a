"""Which yield each step consumed: the transcripts of Keras, direct loops, and what must stay unknown."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_trainer import Source, Trainer, batch, mark

from coverage_audit.model.event import Batch, BatchRows, Consumed, Event, MarkKind
from coverage_audit.model.run import SplitInfo, Writer
from coverage_audit.model.shards import Shard, Shards
from coverage_audit.runlog.join import WriterJoin
from coverage_audit.runlog.journal import Journal
from coverage_audit.runlog.summary import EpochMark, Segment
from coverage_audit.testing.logs import write_events

M = MarkKind
SHARDS = Shards((Shard("a", 500), Shard("b", 100_000)))
STEM = "a000-r0000-p0001"
PEEK: list[Event] = [mark(M.OPENED, segment=0), batch(0), batch(1)]
FIT: list[Event] = [*PEEK, mark(M.FIT_BEGIN, peek=0, steps=None, epochs=1), mark(M.EPOCH_BEGIN, number=0)]


def join(
    folder: Path, events: Iterable[Event], splits: tuple[str, ...] = ("train", "validation"), shards: Shards = SHARDS
) -> WriterJoin:
    journal = Journal(folder, STEM, roll_bytes=2000)
    write_events(journal, events, splits)
    journal.close()
    writer = Writer(0, 0, 1, splits=tuple(SplitInfo(name, shards.fingerprint) for name in splits))
    return WriterJoin(writer, sorted(folder.glob("*.journal")), {shards.fingerprint: shards})


def steps(joined: WriterJoin, split: str = "train") -> list[tuple[int, int, int, int, int]]:
    """(batch, step, stage, fit, epoch) of each batch in the output."""
    out: list[tuple[int, int, int, int, int]] = []
    for v in joined.visits():
        for i in np.flatnonzero(v.split == joined.splits.index(split)).tolist():
            record = tuple(int(a[i]) for a in (v.batch, v.step, v.stage, v.fit, v.epoch))
            if not out or out[-1] != record or v.row[i] == -1:
                out.append(record)  # type: ignore[arg-type]
    return out


def trained(joined: WriterJoin, split: str = "train") -> list[int]:
    return [b for b, _, stage, _, _ in steps(joined, split) if stage == 2]


def by_epoch(joined: WriterJoin, split: str) -> list[list[int]]:
    found = steps(joined, split)
    return [[b for b, _, stage, _, e in found if stage == 2 and e == n] for n in range(1 + max(e for *_, e in found))]


# --- the transcripts of the trainer we measured


def test_an_infinite_generator_is_trained_in_yield_order(tmp_path: Path) -> None:
    trainer = Trainer(seed=0, lead=8)
    trainer.fit(Source("train", None, trainer.events), steps=21, epochs=3)

    joined = join(tmp_path, trainer.events)

    assert trained(joined) == list(range(63))
    assert [len(e) for e in by_epoch(joined, "train")] == [21, 21, 21]
    assert [(e.steps_declared, e.steps_taken, e.complete) for e in joined.summary().epochs] == [(21, 21, True)] * 3


def test_a_finite_generator_without_steps_replays_its_peek(tmp_path: Path) -> None:
    trainer = Trainer(seed=0, lead=0)
    trainer.fit(Source("train", 10, trainer.events), steps=None, epochs=3)

    assert by_epoch(join(tmp_path, trainer.events), "train") == [list(range(10)), [0, 1], [0, 1]]


def test_a_finite_generator_with_steps_restarts_with_its_peek(tmp_path: Path) -> None:
    trainer = Trainer(seed=0, lead=3)
    trainer.fit(Source("train", 10, trainer.events), steps=4, epochs=4)

    assert by_epoch(join(tmp_path, trainer.events), "train") == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9], [0, 1]]


def test_two_fits_lose_what_the_first_pulled_ahead(tmp_path: Path) -> None:
    # GIVEN two fits of five steps; the first pulled batch 5 ahead, a late thread then batch 6
    events: list[Event] = [
        *FIT, mark(M.OPENED, segment=1), *(batch(n, 1) for n in range(2, 6)), Consumed("train", 5),
        mark(M.EPOCH_END, number=0), mark(M.FIT_END), batch(6, 1),
        mark(M.OPENED, segment=2), batch(7, 2), batch(8, 2), mark(M.FIT_BEGIN, peek=2, steps=5), mark(M.EPOCH_BEGIN),
        mark(M.OPENED, segment=3), *(batch(n, 3) for n in range(9, 14)), Consumed("train", 5), mark(M.EPOCH_END),
        mark(M.FIT_END),
    ]  # fmt: skip

    # THEN they stand where their numbers belong, never consumed; so do 12 and 13
    assert steps(join(tmp_path, events)) == [
        (0, 0, 2, 0, 0), (1, 1, 2, 0, 0), (2, 2, 2, 0, 0), (3, 3, 2, 0, 0), (4, 4, 2, 0, 0),
        (5, -1, 0, -1, -1), (6, -1, 0, -1, -1),
        (7, 5, 2, 1, 1), (8, 6, 2, 1, 1), (9, 7, 2, 1, 1), (10, 8, 2, 1, 1), (11, 9, 2, 1, 1),
        (12, -1, 0, -1, -1), (13, -1, 0, -1, -1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("lead", "evaluated"),
    [(0, [[0, 1, 2], [0, 1, 3], [0, 1, 4], [0, 1, 5]]), (None, [[0, 1, 2], [0, 1, 5], [0, 1, 7], [0, 1, 9]])],
    ids=["torch", "tensorflow"],
)
def test_evaluations_begin_with_the_peek(tmp_path: Path, lead: int | None, evaluated: list[list[int]]) -> None:
    # GIVEN the validation pulls of four epochs: none ahead, or 2 ahead and then 1 each time
    ahead = [0, 0, 0, 0] if lead == 0 else [2, 1, 1, 0]
    events: list[Event] = [*FIT, mark(M.OPENED, "validation", segment=0), batch(0, 0, "validation")]
    events.append(batch(1, 0, "validation"))
    number = 2
    for segment, more in enumerate(ahead, start=1):
        events += [mark(M.EVALUATION_BEGIN, "validation", in_fit=True), Consumed("validation", 2)]
        events.append(mark(M.OPENED, "validation", segment=segment))
        events += [batch(n, segment, "validation") for n in range(number, number + 1 + more)]
        events += [Consumed("validation", 1), mark(M.EVALUATION_END, "validation")]
        number += 1 + more

    joined = join(tmp_path, events)

    assert by_epoch(joined, "validation") == evaluated
    assert {b for b, *_ in steps(joined, "validation")} == set(range(number))
    assert joined.summary().epochs[1:] == tuple(
        EpochMark("validation", n, 0, None, True, None, 3, evaluation=True, first_step=3 * n) for n in range(4)
    )


def test_a_finite_validation_generator_is_whole_once(tmp_path: Path) -> None:
    trainer = Trainer(seed=0, lead=2)
    validation = Source("validation", 6, trainer.events)
    trainer.fit(Source("train", None, trainer.events), steps=4, epochs=4, validation=validation)

    assert by_epoch(join(tmp_path, trainer.events), "validation") == [[0, 1, 2, 3, 4, 5], [0, 1], [0, 1], [0, 1]]


def test_a_stream_that_a_thread_opens_after_the_evaluation_is_not_the_next_peek(tmp_path: Path) -> None:
    # GIVEN evaluations of two steps, for which the peeked batches suffice
    evaluation: list[Event] = [
        mark(M.EVALUATION_BEGIN, "validation", in_fit=True), Consumed("validation", 2),
        mark(M.EVALUATION_END, "validation"),
    ]  # fmt: skip
    events: list[Event] = [
        *FIT, mark(M.OPENED, "validation", segment=0), batch(0, 0, "validation"), batch(1, 0, "validation"),
        *evaluation, mark(M.OPENED, "validation", segment=1), batch(2, 1, "validation"), *evaluation,
    ]  # fmt: skip

    assert by_epoch(join(tmp_path, events), "validation") == [[0, 1], [0, 1]]


def test_evaluating_the_training_data_between_fits_is_delivered_not_trained(tmp_path: Path) -> None:
    events: list[Event] = [
        *FIT, Consumed("train", 2), mark(M.FIT_END),
        mark(M.OPENED, segment=1), batch(2, 1), batch(3, 1), mark(M.EVALUATION_BEGIN, in_fit=False),
        Consumed("train", 1), mark(M.EVALUATION_END),
    ]  # fmt: skip

    assert steps(join(tmp_path, events)) == [
        (0, 0, 2, 0, 0), (1, 1, 2, 0, 0), (2, -1, 1, -1, -1), (3, -1, 0, -1, -1),
    ]  # fmt: skip


def test_the_training_data_evaluated_within_its_fit_is_told_apart_where_openings_tell_their_peek(
    tmp_path: Path,
) -> None:
    # GIVEN openings that name their peek, and an evaluation of the training generator after two of four steps
    events: list[Event] = [
        mark(M.OPENED, segment=0, peek=0), batch(0), batch(1), mark(M.FIT_BEGIN, peek=0, steps=4),
        mark(M.EPOCH_BEGIN), mark(M.OPENED, segment=1, peek=0), batch(2, 1), Consumed("train", 2),
        mark(M.OPENED, segment=2, peek=2), batch(3, 2), batch(4, 2), mark(M.EVALUATION_BEGIN, in_fit=True),
        Consumed("train", 2), mark(M.OPENED, segment=3, peek=2), batch(5, 3), Consumed("train", 1),
        mark(M.EVALUATION_END), Consumed("train", 1), batch(6, 1), Consumed("train", 1), mark(M.EPOCH_END),
        mark(M.FIT_END),
    ]  # fmt: skip

    assert [(b, s, g) for b, s, g, _, _ in steps(join(tmp_path, events))] == [
        (0, 0, 2), (1, 1, 2), (3, -1, 1), (4, -1, 1), (5, -1, 1), (2, 2, 2), (6, 3, 2),
    ]  # fmt: skip


# --- any history


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    lead=st.integers(0, 9),
    length=st.one_of(st.none(), st.integers(1, 14)),
    fits=st.lists(st.tuples(st.one_of(st.none(), st.integers(1, 7)), st.integers(1, 3)), min_size=1, max_size=3),
    validation=st.one_of(st.none(), st.tuples(st.one_of(st.none(), st.integers(1, 9)), st.integers(1, 4))),
    alone=st.booleans(),
    told=st.booleans(),
)
def test_the_join_equals_the_truth(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    lead: int,
    length: int | None,
    fits: list[tuple[int | None, int]],
    validation: tuple[int | None, int] | None,
    alone: bool,
    told: bool,
) -> None:
    # GIVEN a trainer that knows what it consumed
    trainer = Trainer(seed=seed, lead=lead)
    source = Source("train", length, trainer.events, told)
    held, count = (
        (None, None)
        if validation is None
        else (Source("validation", validation[0], trainer.events, told), validation[1])
    )
    for number, epochs in fits:
        if length is None and number is None:
            continue
        trainer.fit(source, number, epochs, held, count)
        if held is not None and alone:
            trainer.evaluate(held, None, count)

    joined = join(tmp_path_factory.mktemp("join"), trainer.events)

    # THEN the steps are its steps
    for split, truth in (("train", trainer.trained), ("validation", trainer.evaluated)):
        found = steps(joined, split)
        consumed = [r for r in found if r[2] == 2]
        assert [(fit, epoch, b) for b, _, _, fit, epoch in consumed] == truth
        assert [r[1] for r in consumed] == list(range(len(truth)))
        # THEN each yield is there, once if it was never consumed, and nothing unconsumed stands behind a later yield
        numbers = [e.number for e in trainer.events if isinstance(e, Batch) and e.split == split]
        assert {r[0] for r in found} == set(numbers)
        dropped = [r[0] for r in found if r[2] == 0]
        assert len(dropped) == len(set(dropped))
        assert not set(dropped) & {b for *_, b in truth}
        first = list(dict.fromkeys(r[0] for r in found))
        if split == "train":
            assert first == sorted(first)
    assert [e.steps_taken for e in joined.summary().epochs if not e.evaluation] == [
        sum(e == n for _, e, _ in trainer.trained) for n in range(trainer.epochs)
    ]


def test_a_late_stream_of_an_older_peek_disturbs_no_evaluation(tmp_path: Path) -> None:
    # GIVEN two evaluations on their own, each for itself; the thread of the first wakes up during the second
    def alone(peek: int, first: int) -> list[Event]:
        return [
            mark(M.OPENED, "validation", segment=peek, peek=peek),
            batch(first, peek, "validation"), batch(first + 1, peek, "validation"),
            mark(M.EVALUATION_BEGIN, "validation", in_fit=False, peek=peek), Consumed("validation", 1),
        ]  # fmt: skip

    end: list[Event] = [Consumed("validation", 1), mark(M.EVALUATION_END, "validation")]
    late: list[Event] = [mark(M.OPENED, "validation", segment=2, peek=0), batch(4, 2, "validation")]
    joined = join(tmp_path, [*alone(0, 0), *end, *alone(1, 2), *late, *end])

    assert by_epoch(joined, "validation") == [[0, 1], [2, 3]]


def test_a_record_without_consumption_streams(tmp_path: Path) -> None:
    # GIVEN more yields than fit into one chunk, of a split that nothing consumes, and some after the last fit
    ids = np.arange(0, 200_000, 2)
    yields: list[Event] = [Batch("train", n, BatchRows(len(ids), ids=ids)) for n in range(2, 9)]

    for number, before in enumerate(([], [*FIT, Consumed("train", 2), mark(M.FIT_END)])):
        folder = tmp_path / str(number)
        folder.mkdir()
        joined = join(folder, [*before, *yields])

        # THEN it comes in several chunks, not as one at the end
        assert len(list(joined.visits())) >= 3


# --- loops that take their batches themselves


def test_a_direct_loop_consumes_what_it_took(tmp_path: Path) -> None:
    # GIVEN a loop that breaks after taking one batch too many, each epoch
    events: list[Event] = [mark(M.FIT_BEGIN, peek=-1)]
    for epoch in range(2):
        events += [mark(M.EPOCH_BEGIN, number=epoch), mark(M.OPENED, segment=epoch)]
        for n in range(3 * epoch, 3 * epoch + 2):
            events += [batch(n, epoch), Consumed("train", 1)]
        events += [batch(3 * epoch + 2, epoch), mark(M.EPOCH_END, number=epoch)]

    assert steps(join(tmp_path, events)) == [
        (0, 0, 2, 0, 0), (1, 1, 2, 0, 0), (2, -1, 0, -1, -1),
        (3, 2, 2, 0, 1), (4, 3, 2, 0, 1), (5, -1, 0, -1, -1),
    ]  # fmt: skip


def test_steps_without_any_fit_are_taken_in_order(tmp_path: Path) -> None:
    events: list[Event] = [batch(0), batch(1), Consumed("train", 1), batch(2), Consumed("train", 1)]

    assert steps(join(tmp_path, events)) == [(0, 0, 2, -1, -1), (1, 1, 2, -1, -1), (2, -1, 0, -1, -1)]


def test_where_nothing_is_told_each_yield_is_one_record(tmp_path: Path) -> None:
    joined = join(tmp_path, [batch(0), batch(1, 1), mark(M.ENDED, segment=1, how="exhausted")])

    assert steps(joined) == [(0, -1, 0, -1, -1), (1, -1, 0, -1, -1)]
    assert joined.summary().segments == (
        Segment("train", 0, 0, 1, ""),
        Segment("train", 1, 1, 1, "exhausted"),
    )
    assert joined.summary().state == "idle"


# --- what nobody can know


def test_a_second_stream_before_the_first_ended_leaves_the_steps_unknown(tmp_path: Path) -> None:
    events: list[Event] = [
        *FIT, mark(M.OPENED, segment=1), batch(2, 1), Consumed("train", 3), mark(M.OPENED, segment=2), batch(3, 2),
        Consumed("train", 2), mark(M.FIT_END),
    ]  # fmt: skip

    joined = join(tmp_path, events)

    assert steps(joined) == [
        (0, 0, 2, 0, 0), (1, 1, 2, 0, 0), (2, 2, 2, 0, 0), (-1, 3, 2, 0, 0), (-1, 4, 2, 0, 0), (3, -1, 0, -1, -1),
    ]  # fmt: skip
    unknown = [v.take(v.batch == -1) for v in joined.visits()]
    assert [(v.shard.tolist(), v.row.tolist(), v.count.tolist(), v.found.tolist()) for v in unknown if len(v)] == [
        ([-1, -1], [-1, -1], [0, 0], [0, 0])
    ]


def test_more_steps_than_yields_are_unknown(tmp_path: Path) -> None:
    assert steps(join(tmp_path, [*FIT, Consumed("train", 3)])) == [
        (0, 0, 2, 0, 0), (1, 1, 2, 0, 0), (-1, 2, 2, 0, 0),
    ]  # fmt: skip


def test_a_fit_after_one_that_failed_has_its_own_peek(tmp_path: Path) -> None:
    events: list[Event] = [
        *FIT, mark(M.OPENED, segment=1), batch(2, 1), Consumed("train", 2),
        mark(M.ENDED, segment=1, how="failed", error="boom"),
        mark(M.OPENED, segment=2), batch(3, 2), batch(4, 2), mark(M.FIT_BEGIN, peek=2), mark(M.EPOCH_BEGIN),
        Consumed("train", 2), mark(M.EPOCH_END), mark(M.FIT_END),
    ]  # fmt: skip

    joined = join(tmp_path, events)

    assert steps(joined) == [
        (0, 0, 2, 0, 0), (1, 1, 2, 0, 0), (2, -1, 0, -1, -1), (3, 2, 2, 1, 1), (4, 3, 2, 1, 1),
    ]  # fmt: skip
    assert [e.complete for e in joined.summary().epochs] == [False, True]
    assert joined.summary().segments[1] == Segment("train", 1, 2, 1, "failed", "boom")


def test_an_unknown_batch_keeps_its_size(tmp_path: Path) -> None:
    joined = join(tmp_path, [Batch("train", 0, BatchRows(64)), Batch("train", 1, BatchRows(-1))])

    (v,) = joined.visits()
    assert (v.shard.tolist(), v.row.tolist(), v.count.tolist()) == ([-1, -1], [-1, -1], [64, 0])


# --- how the record ends


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ([], "open"),
        (FIT, "open"),
        ([*FIT, mark(M.FIT_END)], "idle"),
        ([*FIT, mark(M.FIT_END), batch(2)], "idle"),
        ([*FIT, mark(M.FIT_END), *FIT[3:]], "open"),
        ([*FIT, mark(M.EVALUATION_BEGIN, "validation"), mark(M.EVALUATION_END, "validation")], "open"),
        ([*FIT, mark(M.FIT_END), mark(M.EVALUATION_BEGIN, "validation")], "open"),
        ([*FIT, mark(M.CLOSED, "")], "closed"),
        ([batch(0)], "open"),
        ([batch(0), mark(M.ENDED, segment=0, how="exhausted")], "idle"),
        ([batch(0), mark(M.ENDED, segment=0, how="exhausted"), batch(1, 1)], "open"),
        ([batch(0), mark(M.IDLE, "")], "idle"),
    ],
)
def test_the_end_of_a_record(tmp_path: Path, events: list[Event], state: str) -> None:
    assert join(tmp_path, events).summary().state == state


def test_failures_and_reasons_are_kept_once(tmp_path: Path) -> None:
    summary = join(
        tmp_path,
        [
            mark(M.UNIDENTIFIED, reason="a copy"),
            mark(M.UNIDENTIFIED, reason="a copy"),
            mark(M.UNIDENTIFIED, "validation", reason="a copy"),
            mark(M.FAILED, "", error="disk full"),
        ],
    ).summary()

    assert summary.failures == ("disk full",)
    assert summary.unidentified == (("train", "a copy"), ("validation", "a copy"))
