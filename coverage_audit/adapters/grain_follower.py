"""Goes along with an iterator of Grain's, and says of each batch which rows it holds.

The ids of the pipeline (:mod:`~coverage_audit.adapters.grain_ids`) have states of the same form as the iterator: while
both stand at the same place, its batches are theirs.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from coverage_audit.adapters.grain_ids import Twin, make_twin, repeats
from coverage_audit.adapters.grain_positions import NoTwinError, Padded
from coverage_audit.identity.batches import Answer, Identified, Run, Unknown, count_rows, leaves, possible_lengths
from coverage_audit.identity.ladder import Ladder
from coverage_audit.identity.parts import handed_on
from coverage_audit.model.event import VERIFIED, BatchRows, Found, MarkKind
from coverage_audit.model.rows import Ints
from coverage_audit.recorder.recorder import Recorder
from coverage_audit.recorder.segment import Segment
from coverage_audit.recorder.stream import Stream
from coverage_audit.recorder.writer import warn

_SURE = frozenset((Found.PROVENANCE, Found.VIEW, Found.TRACER))
"""Ways that cannot mistake a row for an equal one."""

_ASTRAY = "the pipeline does not stand where its indices say"


class Plan:
    """How the batches of a loader are known.

    ``why``: why indices do not tell the rows; "" where they do. ``tells_passes``: an iteration is one pass.
    """

    def __init__(self, loader: Any, recorder: Recorder) -> None:
        self.pipeline = getattr(loader, "_dataset", loader)
        made_of = getattr(recorder.stream.way, "made_of", None)
        self.verify_every = 1 if made_of is None else int(made_of[1])
        self.tells_passes = not (repeats(loader) or repeats(self.pipeline))
        self.why = self._look(recorder.stream)
        # Somebody who gives ids, or names a way, needs no advice.
        self.by_index = not self.why and _is_open(recorder.stream)
        self._tell_workers(recorder.stream)

    def twin(self) -> Twin | None:
        """The ids of one iteration, from the beginning; None where indices do not tell them."""
        return make_twin(self.pipeline) if self.by_index else None

    def _tell_workers(self, stream: Stream) -> None:
        twin = self.twin()
        if twin is not None and twin.workers is not None:
            stream.mark(MarkKind.WORKERS, count=twin.workers.datasets)

    def _look(self, stream: Stream) -> str:
        shards = stream.split.shards
        try:
            sources = make_twin(self.pipeline).sources
        except NoTwinError as error:
            return str(error)
        if shards is not None and sources != shards.n_ids:
            return f"the sources have {sources} elements and the declared data {shards.n_ids} rows"
        return ""


def _is_open(stream: Stream) -> bool:
    """Whether nobody said how rows are to be found."""
    way = stream.way
    return isinstance(way, Ladder) and (way.made_of is not None or stream.split.shards is None)


class Follower:
    """Goes along with an iterator, and says of each batch which rows it holds.

    Wherever the iterator's state is not the one that the ids have, the batch is unknown, and the ids go on from there.
    """

    def __init__(self, iterator: Any, plan: Plan, stream: Stream, *, begun: bool) -> None:
        self._stream = stream
        self._why = plan.why
        self._by_index = plan.by_index
        self._tells_passes = plan.tells_passes
        self._every = plan.verify_every
        self._asked = 0
        self._lost = ""
        self._twin: Twin | None = None
        self._moved = begun
        try:
            self._core = _core(iterator)
            self._twin = plan.twin()
            self._start = None if self._twin is None else copy.deepcopy(self._twin.steps.get_state())
        except Exception as error:  # noqa: BLE001 - recording must not end a training run, whatever fails in it
            self._lose_hooks(error)
        if begun:
            self.find()

    def begins_pass(self) -> bool:
        """Whether the next batch is the first of a pass, and the iteration nothing but that pass."""
        if not self._moved or self._twin is None:
            return self._tells_passes and not self._moved
        return self._tells_passes and not self._lost and self._twin.steps.get_state() == self._start

    def find(self) -> None:
        """Go to where the iterator stands."""
        self._moved = True
        if self._twin is None:
            return
        try:
            self._twin.steps.set_state(copy.deepcopy(self._core.get_state()))
            self._lost = ""
        except Exception as error:  # noqa: BLE001 - as above
            self._lose_hooks(error)

    def lose(self, why: str) -> None:
        """Rows are unknown from here on, until a state is set."""
        self._lost = why

    def record(self, segment: Segment, batch: Any) -> Any:
        """The batch to hand on."""
        stream = self._stream
        if stream.writer is None or not stream.writer.recording or stream.split.closed:
            return stream.identify(batch)[0] if stream.way.alters else batch
        if self._by_index and not self._lost:
            answer, worker = self._answer(batch)
            stream.put(segment, lambda: (Found.EXPLICIT, answer), worker)
            return handed_on(batch)
        batch, found = stream.identify(batch)
        stream.put(segment, lambda: (stream.found, self._advised(found)))
        return batch

    def _answer(self, batch: Any) -> tuple[Answer | Identified, int]:
        assert self._twin is not None
        steps, workers = self._twin.steps, self._twin.workers
        try:
            ids = next(steps)
            state = self._core.get_state()
            if state != steps.get_state():
                steps.set_state(copy.deepcopy(state))
                return Unknown(count_rows(batch), _ASTRAY, f"it stands at {str(state)[:60]}"), -1
        except StopIteration:
            self.lose(_ASTRAY)
            return Unknown(count_rows(batch), _ASTRAY, "it goes on after its last element"), -1
        except Exception as error:  # noqa: BLE001 - as above
            self._lose_hooks(error)
            return Unknown(count_rows(batch), self._lost), -1
        answer = _rows(ids, batch)
        self._asked += 1
        if (self._asked - 1) % self._every == 0 and isinstance(answer, np.ndarray):
            told = self._contradiction(batch, answer)
            if told is not None:
                return told, -1 if workers is None else workers.last
        return answer, -1 if workers is None else workers.last

    def _contradiction(self, batch: Any, ids: Ints) -> Identified | None:
        """What the arrays of the batch say, if it is otherwise: then indices say nothing of this data from here on."""
        told = self._stream.identify(batch)[1]
        shards = self._stream.split.shards
        if not isinstance(told, Identified) or (told.found & ~VERIFIED) not in _SURE or shards is None:
            return None
        rows = told.rows
        if isinstance(rows, Unknown | BatchRows):
            return None
        if isinstance(rows, Run):
            first = rows.row + (int(shards.offsets[rows.shard]) if rows.shard >= 0 else 0)
            rows = np.arange(first, first + rows.length, dtype=np.int64)
        if np.array_equal(rows, ids):
            return None
        self.lose("the elements of the source are other rows of the data")
        self._by_index = False
        reason = f"{self._lost}, so rows are told by what batches hold"
        before = self._asked - 1
        self._stream.mark(MarkKind.DEMOTED, found=int(Found.EXPLICIT), reason=reason, asked=before, verified=-1)
        warn(f"{self._stream.split.info.name}: {reason}. Give ids=, or declare the data in the order of the source")
        return told

    def _advised(self, found: Answer | Identified) -> Answer | Identified:
        """Where the ways of other loaders do not find rows either: why indices did not."""
        rows = found.rows if isinstance(found, Identified) else found
        why = self._lost or self._why
        if not isinstance(rows, Unknown) or rows.meant or not why:
            return found
        return Unknown(rows.length, f"indices do not tell the rows: {why}; give ids=", rows.reason)

    def _lose_hooks(self, error: Exception) -> None:
        self._by_index = False
        self._twin = None
        self._lost = f"this version of Grain is built otherwise ({type(error).__name__}: {error})"
        warn(f"rows of this Grain pipeline are looked for in its batches: {self._lost}")


def _core(iterator: Any) -> Any:
    """The iterator below those that only say their state otherwise, at length."""
    core = getattr(iterator, "_iterator", iterator)
    while type(core).__name__ == "_DataLoaderStateDatasetIterator":
        core = core._parent
    return core


def _rows(ids: Any, batch: Any) -> Answer:
    """Ids as the twin gave them, if the batch can have that many rows."""
    if isinstance(ids, int):
        return np.array([ids], np.int64)
    if isinstance(ids[0], list):
        if _has_shape(batch, (len(ids), len(ids[0]))) and len({len(each) for each in ids}) == 1:
            return np.array(ids, np.int64).reshape(-1)
        return Unknown(-1, "a batch of batches does not say how many rows it has")
    lengths = possible_lengths(batch)
    if len(ids) in lengths or (isinstance(ids, Padded) and any(length > len(ids) for length in lengths)):
        return np.array(ids, np.int64)
    if lengths:
        return Unknown(count_rows(batch), "the number of ids is not the number of rows", f"{len(ids)} ids")
    return Unknown(-1, "the batch does not say how many rows it has")


def _has_shape(batch: Any, shape: tuple[int, ...]) -> bool:
    """Whether all arrays of a batch have these first axes."""
    shapes = [tuple(getattr(leaf, "shape", ()))[: len(shape)] for leaf in leaves(batch)]
    return bool(shapes) and all(each == shape for each in shapes)
