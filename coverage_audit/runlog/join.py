"""The events of one writer, in order, as visits: consumption joined to yields, split by split.

The journals are read twice. The first time only for what the second has to know beforehand: which splits tell what
was consumed, and how many fits and evaluations are still to come. So nothing has to wait for the end of the log, and
the memory is the batches in flight plus one chunk.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coverage_audit.model.event import Mark, MarkKind
from coverage_audit.model.run import Writer
from coverage_audit.model.shards import Shards
from coverage_audit.runlog.consumer import DIRECT
from coverage_audit.runlog.frames import Frame, Head
from coverage_audit.runlog.journal_read import mark_of, read_journal
from coverage_audit.runlog.matching import SplitMatcher
from coverage_audit.runlog.records import CHUNK, Entry, columns, n_records_at_most
from coverage_audit.runlog.state import WriterState
from coverage_audit.runlog.summary import Place, Summary
from coverage_audit.runlog.visits import Visits

# Members of an enumeration take their time; these are asked once per event.
_MARK, _CONSUMED = int(Frame.MARK), int(Frame.CONSUMED)
_PLACED = (MarkKind.CHECKPOINT, MarkKind.RESTORED)


@dataclass
class _Outlook:
    """What the first reading leaves: marks per journal, where each ends, and what is known of each split."""

    marks: list[list[Mark]] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    torn: bool = False
    windows: dict[str, int] = field(default_factory=dict)
    fitted: set[str] = field(default_factory=set)
    consumed: set[int] = field(default_factory=set)
    n_splits: int = 0


class WriterJoin:
    """One writer's journals as visits. Look at :meth:`visits`, :meth:`summary` and :attr:`marks`, in any order."""

    def __init__(self, writer: Writer, journals: Sequence[Path], datasets: Mapping[str, Shards]) -> None:
        self.writer = writer
        self._journals = list(journals)
        self._outlook = _look_ahead(self._journals)
        self.splits = _split_names(writer, self._outlook)
        infos = {s.name: s for s in writer.splits}
        self._shards = [datasets.get(infos[name].fingerprint or "") if name in infos else None for name in self.splits]
        self._summary: Summary | None = None

    @property
    def marks(self) -> list[Mark]:
        """Every rare event, in order."""
        return [mark for marks in self._outlook.marks for mark in marks]

    @property
    def marks_by_roll(self) -> list[list[Mark]]:
        """The same, journal by journal."""
        return self._outlook.marks

    def visits(self) -> Iterator[Visits]:
        """All visits, in chunks of about 2^16 records."""
        for _, chunk in self.visits_by_roll():
            yield chunk

    def visits_by_roll(self) -> Iterator[tuple[int, Visits]]:
        """Chunks with the position of the journal during which they were decided; empty journals have none."""
        entries: list[Entry] = []
        seen = records = 0  # entries looked at, and how many records they can become
        for roll, is_last_of_roll in self._replay(entries):
            records += sum(n_records_at_most(e.head) for e in entries[seen:])
            seen = len(entries)
            if entries and (is_last_of_roll or records >= CHUNK):
                yield roll, columns(entries, self.writer, self.splits, self._shards)
                entries.clear()
                seen = records = 0

    def summary(self) -> Summary:
        """Epochs, segments, and how the record ends."""
        if self._summary is None:
            entries: list[Entry] = []
            for _ in self._replay(entries):
                entries.clear()
        assert self._summary is not None
        return self._summary

    def _replay(self, entries: list[Entry]) -> Iterator[tuple[int, bool]]:
        """Run all events through the matchers, which append to ``entries``; yield now and then so it can be emptied.

        What is yielded is the journal's position and whether it ends here.
        """
        outlook = self._outlook
        by_index = [
            SplitMatcher(
                name,
                index,
                entries.append,
                windows=outlook.windows.get(name, 0),
                consumed=index in outlook.consumed,
                trained=name in outlook.fitted,
            )
            for index, name in enumerate(self.splits)
        ]
        matchers = dict(zip(self.splits, by_index, strict=True))
        state = WriterState({m.name for m in by_index if m.yields_only})
        pace = _Pace()
        places: list[Place] = []
        for roll, (path, end) in enumerate(zip(self._journals, outlook.ends, strict=True)):
            journal = read_journal(path)
            journal.limit = end
            for head, payload in journal.records():
                frame = head[1]
                if frame == _MARK:
                    mark = mark_of(head, payload)
                    state.marked(mark)
                    _tell(matchers, mark)
                    if mark.kind in _PLACED:
                        places += (m.place(mark.kind.value, mark.data.get("tag")) for m in by_index)
                elif frame == _CONSUMED:
                    by_index[head[3]].consumed(head[8])
                    state.consumed(self.splits[head[3]])
                else:
                    by_index[head[3]].yielded(head, payload)
                    state.yielded(self.splits[head[3]])
                if pace.is_time(head):
                    yield roll, False
            if roll == len(self._journals) - 1:
                for matcher in by_index:
                    matcher.finish()
            yield roll, True
        self._summary = Summary(
            state=state.end(),
            torn=outlook.torn,
            epochs=tuple(e for m in by_index for e in m.epochs()),
            segments=tuple(s for m in by_index for s in m.segments()),
            failures=tuple(state.failures),
            unidentified=tuple(state.unidentified),
            places=tuple(places),
        )


@dataclass
class _Pace:
    """Looks at the output once the input could have filled a good part of a chunk."""

    seen: int = 0

    def is_time(self, head: Head) -> bool:
        self.seen += n_records_at_most(head)
        if self.seen < CHUNK // 4:
            return False
        self.seen = 0
        return True


def _look_ahead(journals: Sequence[Path]) -> _Outlook:
    out = _Outlook()
    for path in journals:
        journal, marks = read_journal(path), []
        for head, payload in journal.records():
            if head[1] == _MARK:
                marks.append(mark_of(head, payload))
                continue
            out.n_splits = max(out.n_splits, head[3] + 1)
            if head[1] == _CONSUMED:
                out.consumed.add(head[3])
        out.marks.append(marks)
        out.ends.append(journal.whole_bytes)
        out.torn = out.torn or journal.torn
    for mark in (m for marks in out.marks for m in marks):
        if mark.kind in (MarkKind.FIT_BEGIN, MarkKind.EVALUATION_BEGIN):
            out.windows[mark.split] = out.windows.get(mark.split, 0) + 1
        if mark.kind is MarkKind.FIT_BEGIN:
            out.fitted.add(mark.split)
    return out


def _split_names(writer: Writer, outlook: _Outlook) -> tuple[str, ...]:
    """The declared names, then what the journals hold beyond them."""
    names = [s.name for s in writer.splits]
    names += [f"split-{index}" for index in range(len(names), outlook.n_splits)]
    marked = (mark.split for marks in outlook.marks for mark in marks if mark.split != "")
    return tuple(dict.fromkeys([*names, *marked]))


def _tell(matchers: Mapping[str, SplitMatcher], mark: Mark) -> None:
    """Pass a mark on to the split it is about."""
    if mark.split == "":
        return
    split, data = matchers[mark.split], mark.data
    if mark.kind is MarkKind.OPENED:
        split.opened(int(data["segment"]), _number(data.get("peek")))
    elif mark.kind is MarkKind.ENDED:
        how, error = str(data.get("how", "")), str(data.get("error") or "")
        split.ended(int(data["segment"]), how, error, int(data.get("pass", -1)))
    elif mark.kind is MarkKind.FIT_BEGIN:
        split.fit_begun(int(data.get("peek", DIRECT)), _number(data.get("steps")), int(data.get("taken", 0)))
        _begin_scopes(matchers, split)
    elif mark.kind is MarkKind.FIT_END:
        split.fit_ended()
        _begin_scopes(matchers, split)
    elif mark.kind is MarkKind.EPOCH_BEGIN:
        split.epoch_begun(_number(data.get("number")))
    elif mark.kind is MarkKind.EPOCH_END:
        split.epoch_ended()
    elif mark.kind is MarkKind.EVALUATION_BEGIN:
        around = max((m.fit for m in matchers.values() if m is not split), default=-1)
        split.evaluation_begun(
            in_fit=bool(data.get("in_fit", False)),
            fit=around if data.get("in_fit") else -1,
            steps=_number(data.get("steps")),
            peek=_number(data.get("peek")),
        )
    elif mark.kind is MarkKind.OVERWRITTEN:
        split.overwritten(int(number) for number in data["batches"])
    elif mark.kind is MarkKind.EVALUATION_END:
        split.evaluation_ended()


def _begin_scopes(matchers: Mapping[str, SplitMatcher], trained: SplitMatcher) -> None:
    for matcher in matchers.values():
        if matcher is not trained:
            matcher.scope_begun()


def _number(value: Any) -> int | None:
    return None if value is None else int(value)
