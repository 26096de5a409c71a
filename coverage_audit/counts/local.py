"""Counting in this process: the definition every other engine must equal."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from coverage_audit.counts.accountant import Accountant
from coverage_audit.counts.anew import as_passes, begin_anew
from coverage_audit.counts.blocks import read_blocks
from coverage_audit.counts.needed import Needs, batch_size_of, partial_batches
from coverage_audit.counts.order import Order
from coverage_audit.counts.processes import together
from coverage_audit.counts.recorded import count_attempts, count_writers
from coverage_audit.counts.remarks import sum_remarks
from coverage_audit.counts.resumes import find_resumes
from coverage_audit.counts.source import EpochFacts, SplitSource, Stream
from coverage_audit.counts.tables import EpochCount, PassCount, SplitCounts
from coverage_audit.counts.tally import Tally
from coverage_audit.counts.tracker import Piece, Tracker
from coverage_audit.counts.unfinished import Lane
from coverage_audit.model.rows import Repeats, RowSet

# A pass that repeats more than this of its visits has no shape that could be told from sampling.
SHAPELESS = 0.1


def count_split(source: SplitSource) -> SplitCounts:
    """Count one split: one read of its visits, epochs finished one after the other.

    Memory: 4 bytes a row for the recency of visits (twice where consumption and yields part), 4 bytes a row for the
    run's totals, and the row sets of what was missed or repeated.
    """
    tally = Tally()
    n_ids = 0 if source.shards is None else source.shards.n_ids
    n_rows = 0 if source.shards is None else source.shards.rows
    trackers = [Tracker(i, n_ids, n_rows) for i in range(len(source.streams))]
    accountant = Accountant(source, trackers)
    anew = begin_anew(source)
    blocks = [read_blocks(source, stream, tally) for stream in source.streams]
    lanes = [t.pieces(as_passes(b) if anew else b) for t, b in zip(trackers, blocks, strict=True)]
    # Inside an epoch the streams come one after the other, rank by rank.
    in_turn = sorted(range(len(lanes)), key=lambda i: _writer_order(source.streams[i]))
    lanes = [lanes[i] for i in in_turn]
    for piece in heapq.merge(*lanes, key=_epoch_of) if len(lanes) > 1 else (p for lane in lanes for p in lane):
        accountant.add(piece)
    accountant.finish()
    return _assemble(source, accountant, tally, anew=anew)


def _epoch_of(piece: Piece) -> int:
    return piece.block.epoch if piece.block.epoch >= 0 else piece.pass_


def _writer_order(stream: Stream) -> tuple[int, int, int]:
    return stream.writer.attempt, stream.writer.rank, stream.writer.process


def _assemble(source: SplitSource, accountant: Accountant, tally: Tally, *, anew: bool) -> SplitCounts:
    size = batch_size_of(source.info.batch_size, tally.sizes)
    whole = _gone_through(accountant, size) if anew else frozenset()
    # Parts need not be equally long: the longest says how many steps a pass takes.
    steps: Counter[int] = Counter()
    for lane in accountant.lanes:
        steps[lane.rank] += lane.steps
    first = min(steps, key=lambda rank: (-steps[rank], rank))
    passes: list[PassCount] = []
    orders: list[Order] = []
    attempts: dict[int, list[list[PassCount]]] = {}
    for lane, stream in zip(accountant.lanes, source.streams, strict=True):
        own = _passes(source, lane, stream, size, whole)
        passes += own
        orders += [replace(o, pass_from=p.pass_from) for o, p in zip(lane.orders, own, strict=True)]
        if lane.rank == first and lane.steps and own:
            attempts.setdefault(stream.writer.attempt, []).append(own)
    first_rank = [p for processes in attempts.values() for p in together(processes)]
    divided = any(len(processes) > 1 for processes in attempts.values())
    ranks = max(len({s.writer.rank for s in source.streams}), *(s.writer.world_size for s in source.streams), 1)
    needs = Needs(source.shards, source.info.contract, size, ranks, first_rank, accountant.remaining, divided)
    epochs_from = _epochs_from(source, passes)
    epochs = _with_facts(source, accountant.epochs, passes, epochs_from)
    shapeless = {(p.rank, p.pass_) for p in passes if p.pass_from == "unknown"}
    filled = tuple(_without_position(needs.fill(e), shapeless) for e in epochs)
    repeated = RowSet.empty()
    for epoch in filled:
        if epoch.complete:
            repeated = repeated | epoch.repeated.rows
    writers = count_writers(source, accountant.lanes, accountant.run_visits)
    history = source.history
    return SplitCounts(
        split=source.info.name,
        run=source.run,
        info=source.info,
        shards=source.shards,
        counts="trained" if source.trained else "yielded",
        epochs_from=epochs_from,
        epochs=filled,
        passes=tuple(passes),
        orders=tuple(orders),
        holes=tuple(accountant.holes),
        steps=sum(lane.steps for lane in accountant.lanes),
        visits=sum(lane.visits for lane in accountant.lanes),
        yields=tally.yields,
        run_visits=accountant.run_visits,
        rows_repeated=repeated,
        batch_sizes=dict(sorted(tally.sizes.items())),
        batch_size=size,
        found=dict(tally.found),
        unidentified=tally.unidentified,
        unidentified_batches=tally.unidentified_batches,
        outside=tally.outside,
        outside_rows=tuple(tally.outside_rows),
        writers=writers,
        attempts=count_attempts(source, accountant.lanes, writers),
        resumes=find_resumes(source),
        superseded=frozenset() if history is None else history.superseded,
        restart_problems=source.restart_problems,
        exhausted=any(s.exhausted for s in source.streams),
        evaluation=any(s.evaluation for s in source.streams),
        fingerprints=source.fingerprints,
        changes=source.changes,
        restarts_unplaced=source.restarts_unplaced,
        loader_errors=tuple(e for s in source.streams for e in s.errors),
        remarks=sum_remarks(s.remarks for s in source.streams),
        shares=tuple(accountant.shares),
        epochs_asked=_epochs_asked(source),
    )


def _epochs_asked(source: SplitSource) -> int | None:
    """What the trainer said last, else what was declared."""
    history = source.history
    told = [(s.writer.attempt, s.epochs_asked) for s in (source.streams if history is None else history.writers)
            if s.epochs_asked is not None]  # fmt: skip
    return max(told)[1] if told else source.info.epochs


def _gone_through(accountant: Accountant, size: int | None) -> frozenset[int]:
    """Epochs of ranks that begin anew in each, which the loaders ended: a batch is smaller than the others, or no more
    is missed than a last batch of each rank."""
    small = {p.pass_ for lane in accountant.lanes for p, o in zip(lane.passes, lane.closed, strict=True)
             if size is not None and min(o.sizes, default=size) < size}  # fmt: skip
    rest = (size or 1) * len(accountant.lanes)
    return frozenset(small | {e.epoch for e in accountant.epochs if e.missed.size < rest})


def _passes(
    source: SplitSource, lane: Lane, stream: Stream, size: int | None, whole: frozenset[int]
) -> list[PassCount]:
    """The lane's passes with how they ended. A pass that a later one follows was ended by the loader itself,
    unless passes were told: then only an exhausted loader says so, or that it is one of ``whole``."""
    rows = 0 if source.shards is None else source.shards.rows
    # Boundaries are told from agreement: beside a long stretch without any, only a pass of all rows is no accident.
    formless = any(p.repeated > SHAPELESS * p.visits and 2 * p.visits > rows for p in lane.passes)
    out: list[PassCount] = []
    for index, (count, opened) in enumerate(zip(lane.passes, lane.closed, strict=True)):
        last = index == len(lane.passes) - 1
        told = count.pass_from == "told"
        if told:
            over = count.pass_ in whole and any(f.epoch == count.pass_ and f.complete for f in stream.epochs)
            ended = over or count.first_batch in stream.exhausted_from
            ended_by = "loader" if ended else "" if last else "trainer"
        else:
            ended_by = "loader" if not last or stream.exhausted else ""
        repeating = count.repeated > SHAPELESS * count.visits
        # Of batches that all are unknown nobody can say where a pass ends.
        blank = count.batches > count.untrained_batches and not count.visits
        shapeless = not told and (source.shards is None or repeating or blank or (formless and bool(count.missed)))
        everything = rows > 0 and not count.missed
        partial, ends = partial_batches(opened.sizes, opened.remainders, size, source.shards)
        out.append(
            replace(
                count,
                pass_from="unknown" if shapeless else count.pass_from,
                ended_by=ended_by,
                complete=(ended_by == "loader" or everything) and not shapeless,
                partial_batches=partial,
                shard_end_partials=ends,
            )
        )
    return out


def _epochs_from(source: SplitSource, passes: Sequence[PassCount]) -> str:
    if any(stream.epochs for stream in source.streams):
        return "trainer"
    if source.info.steps_per_epoch is not None:
        return "steps_per_epoch"
    if passes and all(p.pass_from != "unknown" for p in passes):
        return "passes"
    return "unknown"


def _with_facts(
    source: SplitSource, epochs: Sequence[EpochCount], passes: Sequence[PassCount], epochs_from: str
) -> list[EpochCount]:
    """Epochs with what the trainer said of them, epochs without a single visit included."""
    facts: dict[int, list[EpochFacts]] = {}
    for stream in source.streams:
        for fact in stream.epochs:
            facts.setdefault(fact.epoch, []).append(fact)
    known = {e.epoch: e for e in epochs}
    expected = RowSet.empty() if source.shards is None else source.shards.expected
    for number, said in facts.items():
        if number not in known:
            known[number] = EpochCount(number, said[0].fit, False, 0, 0, 0, expected, Repeats.none())
    whole = {p.pass_ for p in passes if p.complete} - {p.pass_ for p in passes if not p.complete}
    steps = source.info.steps_per_epoch
    out = []
    for number in sorted(known):
        epoch, said = known[number], facts.get(number, [])
        if epochs_from == "trainer":
            complete = bool(said) and all(f.complete for f in said)
        elif epochs_from == "steps_per_epoch":
            complete = steps is not None and all(n >= steps for n in epoch.steps_by_rank.values())
        else:
            complete = epochs_from == "passes" and number in whole
        own = said[0] if said else None
        out.append(
            epoch
            if own is None and complete == epoch.complete
            else replace(
                epoch,
                complete=complete,
                number=None if own is None else own.number,
                declared=None if own is None else own.declared,
            )
        )
    return out


def _without_position(epoch: EpochCount, shapeless: set[tuple[int, int]]) -> EpochCount:
    """Positions inside passes nobody can tell are not positions."""
    if epoch.starts_at is None or all(p != epoch.starts_at.pass_ for _, p in shapeless):
        return epoch
    return replace(epoch, starts_at=None)
