"""What one iterator of a recorded DataLoader tells: of which indices each of its batches was made, and by which worker.

Knows nothing of torch.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from coverage_audit.adapters.keras_dataloader import Taker
from coverage_audit.adapters.torch_given import NOTHING, Given
from coverage_audit.adapters.torch_inband import Tagged
from coverage_audit.adapters.torch_plan import Plan, ids_of
from coverage_audit.adapters.torch_rows import Positions
from coverage_audit.identity.batches import Answer, Identified, Run, Unknown, possible_lengths
from coverage_audit.identity.explicit import Explicit
from coverage_audit.identity.parts import handed_on
from coverage_audit.identity.views import NOT_KNOWN
from coverage_audit.model.event import VERIFIED, BatchRows, Found, MarkKind
from coverage_audit.model.rows import Ints
from coverage_audit.recorder.segment import Segment
from coverage_audit.recorder.writer import warn

_DROPS = "the collate function or the dataset made another number of rows of a batch than the sampler asked for"

_IN_ANOTHER_WAY = "asked the dataset itself for another sample, and nothing tells whether it gave that one"

_REUSED = "the sampler changes the list of positions that it gave while a worker may still read it"

_SURE = frozenset((Found.PROVENANCE, Found.VIEW, Found.TRACER))
"""Ways that cannot mistake a row for an equal one."""


class Watch:
    """One iterator's.

    ``positions``: of its dataset in the declared data, as the dataset is now; None where indices say nothing.
    ``trusted``: what makes its batches is torch's own, which drops no sample. ``resumed``: it goes on in the middle of
    a pass, and no checkpoint says in which. ``building``: what is pulled now is nobody's: it goes to where it was left
    off, or was made before it was recorded.
    """

    __slots__ = (
        *("_plan", "_resumed", "_segment", "_sent", "_taker", "_task", "_trusted"),
        *("building", "last", "positions", "worker"),
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
        self.positions = positions
        self._trusted = trusted
        self._resumed = resumed
        self._segment: Segment | None = None
        self._sent: dict[int, Any] = {}
        self._taker: Taker | None = None
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
        self._segment = self._taker = None
        self._sent.clear()
        self.last = self._task = NOTHING

    def given(self, index: Any) -> None:
        """The sampler gave this index."""
        self.last = Given(index)

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
            batch = self._took(data)
            taker, segment = self._taker, self._segment
            if taker is not None and segment is not None and segment.yields == taker.length:
                self._plan.stream.end(segment, "exhausted")  # Keras asks for no more
            return batch
        except Exception as error:  # noqa: BLE001 - recording must not end a training run, whatever fails in it
            self._fail(error)
            return data.batch if type(data) is Tagged else data

    def _took(self, data: Any) -> Any:
        given = self.last if self.worker < 0 else self._task
        self.last = self._task = NOTHING
        if self.building:
            return data.batch if type(data) is Tagged else data
        if self._is_aside():
            batch = data.batch if type(data) is Tagged else data
            return self._plan.stream.identify(batch)[0] if self._plan.stream.way.alters else batch
        plan, segment = self._plan, self._open()
        if type(data) is Tagged:
            return self._tagged(data, segment)
        if plan.unseen is not None:
            self._put(segment, Unknown(-1, plan.unseen))
            return handed_on(data)
        ids, index, reason = None, NOTHING, plan.reason
        if isinstance(given, Given):
            index = given.in_a_worker() if self.worker >= 0 else given.in_this_process()
            ids = self._ids(index)
            reason = reason or (_REUSED if index is NOTHING else None)
        if ids is None and reason is not None:
            batch, told = plan.stream.identify(data)
            self._put(segment, _because(told, reason))
            return batch
        if (
            ids is None
            and not plan.batched
            and isinstance(index, int | np.integer)
            and isinstance(plan.stream.way, Explicit)
        ):
            batch, told = plan.stream.way.identify_one(data)
            self._put(segment, told)
            return batch
        if ids is None:
            return plan.stream.take(segment, data, self.worker)
        return self._asked_for(ids, data, segment)

    def _asked_for(self, ids: Ints, data: Any, segment: Segment) -> Any:
        """A batch that was made of these rows, if nothing in it says otherwise."""
        plan = self._plan
        batch = handed_on(data)
        plan.asked += 1
        is_one = len(ids) == 1 and not plan.batched
        dropped = None if self._trusted or is_one else _miscounted(len(ids), batch)
        if dropped is not None:
            batch, told = plan.stream.identify(data)
            self._put(segment, _because(told, _DROPS, dropped))
            return batch
        if self._is_due(ids, segment) and self._is_contradicted(data, ids):
            return plan.stream.take(segment, data, self.worker)
        self._put(segment, ids)
        return batch

    def over(self, error: BaseException) -> None:
        """Nothing came: the data is exhausted, or something failed; a loop may go on then. Does not raise."""
        try:
            if self.building or self._is_aside():
                return
            over = isinstance(error, StopIteration)
            self._plan.stream.end(self._open(), "exhausted" if over else "failed", None if over else error)
        except Exception as failure:  # noqa: BLE001 - as in took(): the loop is to get its own exception
            self._fail(failure)

    def _is_aside(self) -> bool:
        """Whether what comes now is no iteration of the data; whose one is, is told by who asks for its first batch."""
        feed = self._plan.feed
        if feed is not None and self._segment is None and self._taker is None:
            self._taker = feed.taker()
        return self._plan.muted or (self._taker is not None and self._taker.aside)

    def _fail(self, error: Exception) -> None:
        writer = self._plan.stream.writer
        if writer is not None:
            writer.fail(error)

    def _ids(self, index: Any) -> Ints | None:
        """The sample ids of one index of the sampler; None where it does not say."""
        if self.positions is None or index is NOTHING or self._plan.demoted:
            return None
        if not self._plan.batched and isinstance(index, tuple):
            return None  # an index with several parts, of which nobody knows the meaning
        return self.positions.ids_now(index) if self.worker < 0 else self.positions.ids(index)

    def _open(self) -> Segment:
        """The segment of the next batch: opened when first asked for a batch; a failure begins another one."""
        segment = self._segment
        if segment is None:
            taker, feed = self._taker, self._plan.feed
            told_pass = not self._resumed
            if taker is None or feed is None:
                segment = self._plan.stream.open(told_pass=told_pass)
            else:
                segment = feed.open(told_pass=told_pass, adapter=taker.adapter)
            self._segment = segment
        elif segment.ended == "failed":
            segment = self._segment = self._plan.stream.open(told_pass=False, pass_=segment.pass_)
        return segment

    def _put(self, segment: Segment, rows: Answer | Identified, found: Found = Found.EXPLICIT) -> None:
        self._plan.stream.put(segment, lambda: (found, rows), self.worker)

    def _tagged(self, data: Tagged, segment: Segment) -> Any:
        telling, reason, detail = self._plan.telling, self._plan.reason, ""
        if telling is not None and data.tags is not None:
            rows = telling.rows(data.tags)
            if not isinstance(rows, Unknown):
                batch = handed_on(data.batch)
                dropped = None if self._trusted else _miscounted(_count(rows), batch)
                self._put(segment, rows if dropped is None else Unknown(-1, _DROPS, dropped), telling.found)
                return batch
            reason, detail = rows.reason, rows.detail
        elif data.tags is not None and self.positions is not None and not self._plan.demoted:
            ids = self.positions.ids_of(data.tags)
            if ids is not None:
                return self._asked_for(ids, data.batch, segment)
            reason = f"{self._plan.asks_itself} {_IN_ANOTHER_WAY}"
        if data.told is not None:
            self._put(segment, data.told if reason is None else _because(data.told, reason, detail))
            return data.batch
        if reason is None:
            return self._plan.stream.take(segment, data.batch, self.worker)  # what this process can make of it
        batch, told = self._plan.stream.identify(data.batch)
        self._put(segment, _because(told, reason, detail))
        return batch

    def _is_due(self, ids: Ints, segment: Segment) -> bool:
        """Whether this batch is held against its arrays and files: one in so many, the 2nd, 3rd, 5th, 9th, ... before
        that, and the first of each file, or of each iteration where arrays in memory may be shuffled in between."""
        plan, number = self._plan, self._plan.asked - 1
        if number % plan.verify_every == 0 or (number < plan.verify_every and number & (number - 1) == 0):
            return True
        if plan.memory is not None and segment.yields == 0:
            return True
        return plan.files is not None and len(ids) > 0 and plan.files.is_new(ids)

    def _is_contradicted(self, batch: Any, ids: Ints) -> bool:
        """Whether the arrays of the batch say otherwise: then indices say nothing of this data from here on."""
        orders = [order for order in (self._plan.files, self._plan.memory) if order is not None]
        if not self._says_otherwise(batch, ids) and not any(order.is_other(batch, ids) for order in orders):
            return False
        self._plan.demoted = True
        reason = "the samples at the positions of the sampler are other rows of the data"
        name = self._plan.stream.split.info.name
        self._plan.stream.mark(
            MarkKind.DEMOTED, found=int(Found.EXPLICIT), reason=reason, asked=self._plan.asked - 1, verified=-1
        )
        warn(f"{name}: {reason}, so rows are told by what batches hold. Give ids=, or declare the data in that order")
        return True

    def _says_otherwise(self, batch: Any, ids: Ints) -> bool:
        told = self._plan.stream.identify(batch)[1]
        if not isinstance(told, Identified) or (told.found & ~VERIFIED) not in _SURE:
            return False
        rows = ids_of(told.rows, self._plan.stream)
        return rows is not None and not (len(rows) == len(ids) and bool((rows == ids).all()))


def _miscounted(asked: int, batch: Any) -> str | None:
    """What is wrong with the number of rows of a batch that was made of ``asked``; None where nothing is."""
    lengths = possible_lengths(batch)
    if not lengths or asked in lengths:
        return None
    return f"{asked} were asked for, {' or '.join(map(str, sorted(lengths)))} came"


def _count(rows: Answer | Identified) -> int:
    """How many rows an answer has."""
    answer = rows.rows if isinstance(rows, Identified) else rows
    if isinstance(answer, BatchRows):
        return answer.count
    return answer.length if isinstance(answer, Run | Unknown) else len(answer)


def _because(told: Answer | Identified, reason: str, detail: str = "") -> Answer | Identified:
    """The same, and this reason where the rows are unknown."""
    rows = told.rows if isinstance(told, Identified) else told
    if not isinstance(rows, Unknown):
        return told
    return Unknown(rows.length, reason, detail or (rows.reason if rows.reason != NOT_KNOWN else ""))
