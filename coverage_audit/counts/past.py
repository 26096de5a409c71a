"""The streams of a split that count: every writer's own where nothing was restored, else those of the lineage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from coverage_audit.counts.lineage import (
    Declared,
    Kept,
    Leg,
    Lineage,
    Story,
    find_lineage,
    find_origin,
    is_active,
    read_stories,
)
from coverage_audit.counts.part import Part, exhausted_from, facts_of, failed_at_first
from coverage_audit.counts.remarks import read_remarks, sum_remarks
from coverage_audit.counts.source import EpochFacts, History, Origin, Stream
from coverage_audit.counts.stitch import Stitch, align_late
from coverage_audit.model.event import MarkKind
from coverage_audit.model.run import SplitInfo, Writer
from coverage_audit.model.shards import Shards
from coverage_audit.model.words import listed
from coverage_audit.runlog.reader import Log
from coverage_audit.runlog.summary import Place
from coverage_audit.runlog.visits import Visits


@dataclass(frozen=True, slots=True)
class Past:
    """``streams``: what is to be counted. ``untold``: attempts that do not say what they restored."""

    streams: tuple[Stream, ...]
    untold: int
    problems: tuple[str, ...] = ()
    history: History | None = None


def look_back(declared: Sequence[Declared], info: SplitInfo, shards: Shards | None) -> Past:
    """From the last attempt to what it restored, and so on: what the final weights saw.

    ``shards``: the data the visits are located in. Steps that a restore threw away do not count. Attempts of which
    nobody knows what they restored count as further epochs.
    """
    stories = read_stories(declared, info.name)
    lineage = find_lineage(stories)
    if lineage.is_plain or lineage.apart or not any(is_active(d) for d in declared):
        streams = tuple(_stream(d, info, _epochs_before(declared, d[1].attempt)) for d in declared)
        return Past(streams, lineage.untold, _problems(lineage))
    streams_out: list[Stream] = []
    parts_out: list[tuple[Stream, ...]] = []
    cuts: list[tuple[bool, ...]] = []
    base = 0
    for chain in lineage.chains:
        stitches = _stitched(stories, chain, info, shards, base)
        align_late(stitches)
        for stitch in stitches:
            parts = stitch.parts
            streams_out.append(_joined(parts, info, base))
            parts_out.append(tuple(_joined([part], info, base) for part in parts))
            cuts.append(tuple(stitch.is_cut(at) for at in range(len(parts))))
        base += max((_n_epochs_in(stitch.parts, info, base) for stitch in stitches), default=0)
    if not streams_out:  # whoever went on has done nothing yet
        last = lineage.chains[-1][-1].leg.attempt
        idle = [
            replace(_stream(s.declared, info, 0), visits=lambda: iter(())) for s in stories if s.writer.attempt == last
        ]
        streams_out, parts_out, cuts = idle, [()] * len(idle), [()] * len(idle)
    history = History(
        writers=tuple(_stream(d, info, 0) for d in declared),
        parts=tuple(parts_out),
        cuts=tuple(cuts),
        origins={a: origin for a in sorted({s.writer.attempt for s in stories})
                 if (origin := _origin(stories, a)) is not None},
        superseded=_superseded(stories, lineage),
    )  # fmt: skip
    return Past(tuple(streams_out), lineage.untold, _problems(lineage), history)


def _problems(lineage: Lineage) -> tuple[str, ...]:
    out = [
        f"checkpoint {tag} was restored and never saved in this log, so what the weights had seen by then is unknown"
        for tag in lineage.unknown
    ]
    if lineage.apart:
        out.append(
            f"in attempt {listed([str(a) for a in lineage.apart])} several processes of one rank recorded, and which "
            "of their steps came before the checkpoint is unknown"
        )
    return tuple(out)


def _ranks(stories: Sequence[Story], chain: Sequence[Kept]) -> list[int]:
    attempts = {kept.leg.attempt for kept in chain}
    return sorted({s.writer.rank for s in stories if s.writer.attempt in attempts and is_active(s.declared)})


def _stitched(
    stories: Sequence[Story], chain: Sequence[Kept], info: SplitInfo, shards: Shards | None, base: int
) -> list[Stitch]:
    """The parts of each rank end to end: leg by leg, since where a leg stands in its epoch is for all ranks to say."""
    stitches = {rank: Stitch(shards) for rank in _ranks(stories, chain)}
    for stitch in stitches.values():
        stitch.peers = tuple(stitches.values())
    for kept in chain:
        for story in stories:
            writer = story.writer
            if writer.attempt == kept.leg.attempt and is_active(story.declared):
                stop = None if kept.stop is None else kept.stop[writer.rank]
                trained = _is_trained(story.declared, info.name)
                stitches[writer.rank].add(story, kept.leg, stop, trained, kept.tag, base)
    return list(stitches.values())


def _joined(parts: Sequence[Part], info: SplitInfo, base: int) -> Stream:
    epochs = facts_of(parts)
    exhausted, ended = exhausted_from(parts)
    whole = [_stream(part.declared, info, 0) for part in parts]
    return Stream(
        writer=parts[-1].declared[1],
        visits=partial(_visits_of, tuple(parts)),
        epochs=epochs,
        trained=any(part.trained for part in parts),
        exhausted=ended,
        exhausted_from=exhausted,
        evaluation=any(s.evaluation for s in whole),
        epoch_offset=0 if epochs else base,
        errors=tuple(e for s in whole for e in s.errors),
        remarks=sum_remarks(s.remarks for s in whole),
    )


def _visits_of(parts: Sequence[Part]) -> Iterator[Visits]:
    for part in parts:
        yield from part.visits()


def _n_epochs_in(parts: Sequence[Part], info: SplitInfo, base: int) -> int:
    """How many epochs a chain takes up; an unfinished one is one."""
    facts = facts_of(parts)
    if facts or info.steps_per_epoch is None:
        return max((f.epoch + 1 for f in facts), default=base) - base
    last = parts[-1]
    end = max((s.first_batch + s.batches for s in last.segments), default=0) + last.batch
    return -(-end // info.steps_per_epoch)


def _origin(stories: Sequence[Story], attempt: int) -> Origin | None:
    told = [s for s in stories if s.writer.attempt == attempt and s.restores]
    if not told:
        return None
    return find_origin(stories, Leg(attempt, 1))


def _superseded(stories: Sequence[Story], lineage: Lineage) -> frozenset[str]:
    """Writers of attempts that the run went on from at a checkpoint, or did not go on from at all.

    Not those of a rank whose record ends before that checkpoint: what it did until then is not all known.
    """
    kept_whole = {kept.leg.attempt for chain in lineage.chains for kept in chain[-1:]}
    short = {
        (kept.leg.attempt, rank)
        for chain in lineage.chains
        for kept in chain
        for rank, stop in (kept.stop or {}).items()
        if not _got_to(stop, [s for s in stories if (s.writer.attempt, s.writer.rank) == (kept.leg.attempt, rank)])
    }
    return frozenset(
        s.writer.name
        for s in stories
        if s.writer.attempt not in kept_whole and (s.writer.attempt, s.writer.rank) not in short
    )


def _got_to(stop: Place, stories: Sequence[Story]) -> bool:
    """Whether one of a rank's processes recorded as much as lies before a checkpoint; so do those without any record.

    Ranks with less data take fewer steps: one that is in a later epoch got there, too.
    """
    active = [s for s in stories if is_active(s.declared)]
    return not active or any(stop in s.places or _is_beyond(s.declared, stop) for s in active)


def _is_beyond(declared: Declared, stop: Place) -> bool:
    log, writer, split = declared
    marks = [m for m in log.epoch_marks(writer) if m.split == split.name]
    over = sum(m.complete for m in marks) if len(marks) == stop.epochs and not stop.in_epoch else 0
    if len(marks) > stop.epochs or (marks and over == stop.epochs):
        return True
    own = (v for piece in log.visits(writer) if len(v := piece.of_split(split.name)))
    if _is_trained(declared, split.name):
        return max((int(v.step.max()) + 1 for v in own), default=0) >= stop.steps
    return max((int(v.batch.max()) + 1 for v in own), default=0) >= stop.yields


def _epochs_before(declared: Sequence[Declared], attempt: int) -> int:
    """Epochs of the attempts before one that does not say where it goes on: its own are further ones."""
    return sum(max((_n_epochs(d) for d in declared if d[1].attempt == number), default=0) for number in range(attempt))


def _n_epochs(declared: Declared) -> int:
    log, writer, split = declared
    told = [m.epoch + 1 for m in log.epoch_marks(writer) if m.split == split.name]
    if told or split.steps_per_epoch is None:
        return max(told, default=0)
    yields = sum(s.batches for s in log.segments(writer) if s.split == split.name)
    return -(-yields // split.steps_per_epoch)


def _stream(declared: Declared, info: SplitInfo, offset: int) -> Stream:
    """One writer's whole record."""
    log, writer, _ = declared
    name = info.name
    epochs = [m for m in log.epoch_marks(writer) if m.split == name]
    segments = [s for s in log.segments(writer) if s.split == name]
    return Stream(
        writer=writer,
        visits=partial(_visits, log, writer),
        epochs=tuple(EpochFacts(m.epoch + offset, m.fit, m.number, m.complete, m.steps_declared) for m in epochs),
        trained=_is_trained(declared, name),
        exhausted=any(s.ended == "exhausted" for s in segments),
        exhausted_from=frozenset(
            s.first_batch for s in segments if s.ended == "exhausted" and not failed_at_first(s, segments)
        ),
        evaluation=any(m.evaluation for m in epochs),
        epoch_offset=offset,
        errors=tuple(s.error for s in segments if s.ended == "failed"),
        remarks=read_remarks(log.marks(writer), name),
        epochs_asked=_epochs_asked(declared, name),
    )


def _epochs_asked(declared: Declared, split: str) -> int | None:
    log, writer, _ = declared
    told = [m.data.get("epochs") for m in log.marks(writer) if m.kind is MarkKind.FIT_BEGIN and m.split == split]
    return told[-1] if told and isinstance(told[-1], int) else None


def _is_trained(declared: Declared, split: str) -> bool:
    log, writer, _ = declared
    begun = (MarkKind.FIT_BEGIN, MarkKind.EVALUATION_BEGIN)
    return any(m.kind in begun and m.split == split for m in log.marks(writer))


def _visits(log: Log, writer: Writer) -> Iterator[Visits]:
    return log.visits(writer)
