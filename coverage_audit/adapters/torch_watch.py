"""What one iterator of a recorded DataLoader tells: of which indices each of its batches was made, and by which worker.

Knows nothing of torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from coverage_audit.adapters.tellers import Telling
from coverage_audit.adapters.torch_inband import Tagged
from coverage_audit.adapters.torch_order import FileOrder
from coverage_audit.adapters.torch_rows import Positions
from coverage_audit.identity.batches import Answer, Identified, Run, Unknown, possible_lengths
from coverage_audit.identity.parts import handed_on
from coverage_audit.model.event import VERIFIED, BatchRows, Found, MarkKind
from coverage_audit.model.rows import Ints
from coverage_audit.recorder.segment import Segment
from coverage_audit.recorder.stream import Stream
from coverage_audit.recorder.writer import warn

NOTHING = object()
"""No index: not known, or not asked for."""

_DROPS = "the collate function made another number of rows of a batch than the sampler asked for"

_SURE = frozenset((Found.PROVENANCE, Found.VIEW, Found.TRACER))
"""Ways that cannot mistake a row for an equal one."""


@dataclass(slots=True, eq=False)
class Plan:
    """How the rows of one loader are known. ``telling``: of the samples of an iterable dataset. ``batched``: whether an
    index is a list of positions. ``verify_every``: one batch in so many is held against what its arrays say themselves,
    and against ``files``. ``reason``: why indices say nothing, where a dataset that could know does not.
    """

    stream: Stream
    telling: Telling | None = None
    batched: bool = True
    files: FileOrder | None = None
    verify_every: int = 64
    reason: str | None = None
    asked: int = 0
    demoted: bool = False
    """Positions were found to be other rows."""
    muted: bool = False
    """What is pulled now is no iteration of the data: a trainer looks whether its loop works."""


class Watch:
    """One iterator's.

    ``positions``: of its dataset in the declared data, as the dataset is now; None where indices say nothing.
    ``trusted``: its collate function is torch's, which drops no sample. ``resumed``: it goes on in the middle of a
    pass, and no checkpoint says in which. ``building``: what is pulled now is nobody's: it goes to where it was left
    off, or was made before it was recorded.
    """

    __slots__ = (
        *("_plan", "_positions", "_resumed", "_segment", "_sent", "_task", "_trusted"),
        *("building", "last", "worker"),
    )

    def __init__(
        self,
        plan: Plan,
        positions: Positions | None = None,
        *,
        trusted: bool = False,
        resumed: bool = False,
        building: bool = False,
    ) -> None:
        self._plan = plan
        self._positions = positions
        self._trusted = trusted
        self._resumed = resumed
        self._segment: Segment | None = None
        self._sent: dict[int, Any] = {}
        self._task: Any = NOTHING
        self.last: Any = NOTHING
        """The index that the sampler gave last."""
        self.worker = -1
        self.building = building

    def begin(self, *, first: bool) -> None:
        """The iterator begins the data anew; ``first``: it is being made."""
        if not first:
            self.building = self._resumed = False
        if self._segment is not None:
            self._plan.stream.end(self._segment, "closed")
        self._segment = None
        self._sent.clear()
        self.last = self._task = NOTHING

    def sent(self, task: int) -> None:
        """The index given last went to a worker."""
        self._sent[task] = self.last
        self.last = NOTHING

    def arrived(self, outstanding: Any, worker: int) -> None:
        """A worker's answer is taken up. ``outstanding``: the tasks that are not."""
        done = [task for task in self._sent if task not in outstanding]
        self._task = self._sent[done[0]] if len(done) == 1 else NOTHING
        for task in done:
            del self._sent[task]
        self.worker = worker

    def took(self, data: Any) -> Any:
        """A batch is handed out; returns it as the loop is to get it. Does not raise."""
        try:
            return self._took(data)
        except Exception as error:  # noqa: BLE001 - recording must not end a training run, whatever fails in it
            self._fail(error)
            return data.batch if type(data) is Tagged else data

    def _took(self, data: Any) -> Any:
        index = self.last if self.worker < 0 else self._task
        self.last = self._task = NOTHING
        if self.building:
            return data.batch if type(data) is Tagged else data
        if self._plan.muted:
            batch = data.batch if type(data) is Tagged else data
            return self._plan.stream.identify(batch)[0] if self._plan.stream.way.alters else batch
        plan, segment = self._plan, self._open()
        if type(data) is Tagged:
            return self._tagged(data, segment)
        ids = self._ids(index)
        if ids is None and plan.reason is not None:
            batch, told = plan.stream.identify(data)
            self._put(segment, _because(told, plan.reason))
            return batch
        if ids is None:
            return plan.stream.take(segment, data, self.worker)
        batch = handed_on(data)
        plan.asked += 1
        if not self._trusted:
            lengths = possible_lengths(batch)
            if lengths and len(ids) not in lengths:
                detail = f"{len(ids)} were asked for, {' or '.join(map(str, sorted(lengths)))} came"
                batch, told = plan.stream.identify(data)
                self._put(segment, _because(told, _DROPS, detail))
                return batch
        if (plan.asked - 1) % plan.verify_every == 0 and self._is_contradicted(data, ids):
            return plan.stream.take(segment, data, self.worker)
        self._put(segment, ids)
        return batch

    def over(self, error: BaseException) -> None:
        """Nothing came: the data is exhausted, or something failed. The loop may go on after a failure."""
        if self.building or self._plan.muted:
            return
        stream, segment = self._plan.stream, self._open()
        if isinstance(error, StopIteration):
            stream.end(segment, "exhausted")
        else:
            stream.end(segment, "failed", error)

    def _fail(self, error: Exception) -> None:
        writer = self._plan.stream.writer
        if writer is not None:
            writer.fail(error)

    def _ids(self, index: Any) -> Ints | None:
        """The sample ids of one index of the sampler; None where it does not say."""
        if self._positions is None or index is NOTHING or self._plan.demoted:
            return None
        if not self._plan.batched and isinstance(index, tuple):
            return None  # an index with several parts, of which nobody knows the meaning
        return self._positions.ids(index)

    def _open(self) -> Segment:
        """The segment of the next batch: opened when first asked for a batch; a failure begins another one."""
        segment = self._segment
        if segment is None:
            segment = self._segment = self._plan.stream.open(told_pass=not self._resumed)
        elif segment.ended == "failed":
            segment = self._segment = self._plan.stream.open(told_pass=False, pass_=segment.pass_)
        return segment

    def _put(self, segment: Segment, rows: Answer | Identified, found: Found = Found.EXPLICIT) -> None:
        self._plan.stream.put(segment, lambda: (found, rows), self.worker)

    def _tagged(self, data: Tagged, segment: Segment) -> Any:
        telling = self._plan.telling
        if telling is not None and data.tags is not None:
            rows = telling.rows(data.tags)
            if not isinstance(rows, Unknown):
                self._put(segment, rows, telling.found)
                return handed_on(data.batch)
        if data.told is None:
            return self._plan.stream.take(segment, data.batch, self.worker)  # what this process can make of it
        self._put(segment, data.told)
        return data.batch

    def _is_contradicted(self, batch: Any, ids: Ints) -> bool:
        """Whether the arrays of the batch say otherwise: then indices say nothing of this data from here on."""
        files = self._plan.files
        if not self._says_otherwise(batch, ids) and (files is None or not files.is_other(batch, ids)):
            return False
        self._plan.demoted = True
        reason = "the samples at the positions of the sampler are other rows of the data"
        name = self._plan.stream.split.info.name
        self._plan.stream.mark(
            MarkKind.DEMOTED, found=int(Found.EXPLICIT), reason=reason, asked=self._plan.asked, verified=-1
        )
        warn(f"{name}: {reason}, so rows are told by what batches hold. Give ids=, or declare the files in that order")
        return True

    def _says_otherwise(self, batch: Any, ids: Ints) -> bool:
        told = self._plan.stream.identify(batch)[1]
        if not isinstance(told, Identified) or (told.found & ~VERIFIED) not in _SURE:
            return False
        rows = _ids_of(told.rows, self._plan.stream)
        return rows is not None and not (len(rows) == len(ids) and bool((rows == ids).all()))


def _because(told: Answer | Identified, reason: str, detail: str = "") -> Answer | Identified:
    """The same, and this reason where the rows are unknown."""
    rows = told.rows if isinstance(told, Identified) else told
    return Unknown(rows.length, reason, detail) if isinstance(rows, Unknown) else told


def _ids_of(rows: Answer, stream: Stream) -> Ints | None:
    """Sample ids; None where they cannot be compared with positions."""
    shards = stream.split.shards
    if isinstance(rows, Unknown | BatchRows) or shards is None:
        return None
    if isinstance(rows, Run):
        first = rows.row + (int(shards.offsets[rows.shard]) if rows.shard >= 0 else 0)
        return np.arange(first, first + rows.length, dtype=np.int64)
    return rows
