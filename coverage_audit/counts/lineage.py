"""What the final weights came through: attempts cut at restores into legs, walked back checkpoint by checkpoint."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from coverage_audit.counts.source import Origin
from coverage_audit.model.run import SplitInfo, Writer
from coverage_audit.runlog.reader import Log
from coverage_audit.runlog.summary import Place

Declared = tuple[Log, Writer, SplitInfo]
CHECKPOINT, RESTORED = "checkpoint", "restored"
_OF_A_LOADER = "loader:"
"""How the tags begin that adapters make of the states of loaders."""


@dataclass(frozen=True, slots=True)
class Leg:
    """What an attempt did between two restores: ``ordinal`` 0 lies before its first one."""

    attempt: int
    ordinal: int


@dataclass(frozen=True, slots=True)
class Kept:
    """The part of a leg that the final weights went through: up to ``stop`` of each rank, None for all of it.

    ``stop`` is where the checkpoint ``tag`` was saved from which the next part goes on.
    """

    leg: Leg
    stop: dict[int, Place] | None = None
    tag: str | int | None = None


@dataclass(frozen=True, slots=True)
class Lineage:
    """``chains``: parts that go on from each other, in order; between two chains nobody knows what was restored.

    ``untold``: attempts that do not say what they restored; ``unknown``: tags that were never saved in this log.
    ``apart``: attempts of which several processes of one rank recorded, so that nobody can say which of their steps
    came before a checkpoint.
    """

    chains: tuple[tuple[Kept, ...], ...]
    untold: int = 0
    unknown: tuple[str, ...] = ()
    apart: tuple[int, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether every attempt counts as it was recorded."""
        return all(len(chain) == 1 and chain[0].leg.ordinal == 0 for chain in self.chains)


@dataclass(frozen=True, slots=True)
class Story:
    """One writer's checkpoints and restores of one split, in order."""

    declared: Declared
    places: tuple[Place, ...]

    @property
    def writer(self) -> Writer:
        return self.declared[1]

    @property
    def restores(self) -> tuple[Place, ...]:
        return tuple(p for p in self.places if p.kind == RESTORED)

    def leg_of(self, ordinal: int) -> tuple[Place | None, Place | None]:
        """The restores a leg lies between; None for the ends of the record."""
        restores = (None, *self.restores, None)
        return restores[ordinal], restores[ordinal + 1]

    def checkpoint(self, ordinal: int, tag: str | int) -> Place | None:
        """The last save of ``tag`` in a leg."""
        at, found = 0, None
        for place in self.places:
            at += place.kind == RESTORED
            if at == ordinal and place.kind == CHECKPOINT and place.tag == tag:
                found = place
        return found


def read_stories(declared: Sequence[Declared], split: str) -> list[Story]:
    """What each writer says, writers that say nothing of restores taking those of their attempt's lowest rank.

    Ranks restore together: one that is silent did what the others did, after as many steps.
    """
    stories = [
        Story(d, tuple(_weights_first(p for p in d[0].summary(d[1]).places if p.split == split))) for d in declared
    ]
    out = []
    for story in stories:
        tellers = [s for s in stories if s.writer.attempt == story.writer.attempt and s.restores]
        if story.restores or not tellers:
            out.append(story)
            continue
        teller = min(tellers, key=lambda s: (s.writer.rank, s.writer.process))
        out.append(replace(story, places=_merged(story.places, teller.restores)))
    return out


def _weights_first(places: Iterable[Place]) -> list[Place]:
    """Without the states of loaders that were restored together with a checkpoint of the weights.

    What the weights had seen is for those to say who restored them: the state may be of another step.
    """
    out: list[Place] = []
    for place in places:
        last = out[-1] if out else None
        if last is not None and _is_one_restore(last, place):
            out[-1] = last if _is_of_a_loader(place) else place
        else:
            out.append(place)
    return out


def _is_one_restore(last: Place, place: Place) -> bool:
    """Of weights and of a loader, and nothing was trained on in between. A loader's shows when it is asked for more."""
    same = last.kind == place.kind == RESTORED and (last.steps, last.batch) == (place.steps, place.batch)
    return same and _is_of_a_loader(last) != _is_of_a_loader(place)


def _is_of_a_loader(place: Place) -> bool:
    return isinstance(place.tag, str) and place.tag.startswith(_OF_A_LOADER)


def find_lineage(stories: Sequence[Story]) -> Lineage:
    """Walk back from the last leg: what it restored, what that had restored, and so on."""
    if not any(story.restores for story in stories):
        attempts = sorted({s.writer.attempt for s in stories})
        return Lineage(tuple((Kept(Leg(a, 0)),) for a in attempts), untold=len(attempts) - 1)
    legs = _legs(stories)
    chain: list[Kept] = []
    chains: list[list[Kept]] = [chain]
    unknown: list[str] = []
    untold, at = 0, len(legs) - 1
    chain.append(Kept(legs[at]))
    while True:
        leg = legs[at]
        told, tag = _restored(stories, leg)
        if told and tag is None:
            break
        found = None if tag is None else _saved(stories, legs[:at], tag)
        if tag is not None and found is not None:
            at, stop = found
            chain.insert(0, Kept(legs[at], stop, tag))
            continue
        if told:
            unknown.append(repr(tag))
        if at == 0:
            break
        untold += not told
        at -= 1
        chain = [Kept(legs[at])]
        chains.insert(0, chain)
    lineage = Lineage(tuple(tuple(c) for c in chains), untold, tuple(dict.fromkeys(reversed(unknown))))
    return replace(lineage, apart=_apart(stories, lineage))


def _merged(own: tuple[Place, ...], restores: Sequence[Place]) -> tuple[Place, ...]:
    out, left = [], list(own)
    for restore in restores:
        while left and left[0].steps <= restore.steps and left[0].yields <= restore.yields and restore.steps > 0:
            out.append(left.pop(0))
        out.append(restore)
    return (*out, *left)


def _legs(stories: Sequence[Story]) -> list[Leg]:
    """All legs in order of time; without those before a restore at the very beginning."""
    legs = []
    for attempt in sorted({s.writer.attempt for s in stories}):
        own = [s for s in stories if s.writer.attempt == attempt]
        most = max(len(s.restores) for s in own)
        first = all(s.restores and not s.restores[0].steps and s.restores[0].batch < 0 for s in own)
        saved = any(p.kind == CHECKPOINT for s in own for p in s.places[:1])
        legs += [Leg(attempt, i) for i in range(1 if most and first and not saved else 0, most + 1)]
    return legs


def _restored(stories: Sequence[Story], leg: Leg) -> tuple[bool, str | int | None]:
    """Whether a leg says what it began from, and what."""
    if leg.ordinal == 0:
        return False, None
    told = [s.restores[leg.ordinal - 1].tag for s in stories if s.writer.attempt == leg.attempt
            and len(s.restores) >= leg.ordinal]  # fmt: skip
    return True, told[0]


def _saved(stories: Sequence[Story], before: Sequence[Leg], tag: str | int) -> tuple[int, dict[int, Place]] | None:
    """The latest leg that saved ``tag``, and where each rank stood: the silent ones where the first did."""
    for at in range(len(before) - 1, -1, -1):
        leg = before[at]
        own = [s for s in stories if s.writer.attempt == leg.attempt]
        found = {s.writer.rank: p for s in own if (p := s.checkpoint(leg.ordinal, tag)) is not None}
        if found:
            first = found[min(found)]
            return at, {s.writer.rank: found.get(s.writer.rank, first) for s in own}
    return None


def _apart(stories: Sequence[Story], lineage: Lineage) -> tuple[int, ...]:
    """Attempts that would have to be cut, or gone on from, process by process."""
    touched = {k.leg.attempt for chain in lineage.chains for k in chain if len(chain) > 1 or k.leg.ordinal > 0}
    out = []
    for attempt in sorted(touched):
        ranks = [s.writer.rank for s in stories if s.writer.attempt == attempt and is_active(s.declared)]
        if len(ranks) > len(set(ranks)):
            out.append(attempt)
    return tuple(out)


def is_active(declared: Declared) -> bool:
    """Whether a writer recorded anything of the split."""
    log, writer, info = declared
    return any(s.split == info.name and s.batches for s in log.segments(writer))


def find_origin(stories: Sequence[Story], leg: Leg) -> Origin:
    """What a leg that says what it restored went on from."""
    _, tag = _restored(stories, leg)
    legs = [one for one in _legs(stories) if (one.attempt, one.ordinal) < (leg.attempt, leg.ordinal)]
    found = None if tag is None else _saved(stories, legs, tag)
    if found is None:
        return Origin(tag, None)
    at, stop = found
    return Origin(tag, legs[at].attempt, stop[min(stop)].steps or stop[min(stop)].yields)
