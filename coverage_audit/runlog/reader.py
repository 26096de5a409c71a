"""A run log, finished or not, as visits: from its parts, or from the journals of writers that have none yet."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from coverage_audit.errors import LogError
from coverage_audit.model.event import Mark
from coverage_audit.model.run import RunInfo, Writer, WriterEnd
from coverage_audit.model.shards import Shards
from coverage_audit.runlog.folder import PART, files_like, refuse_what_is_no_log, state_of
from coverage_audit.runlog.footer import Footer, read_footer
from coverage_audit.runlog.join import WriterJoin
from coverage_audit.runlog.journal import is_live
from coverage_audit.runlog.parts import has_all_parts, parts_of
from coverage_audit.runlog.parts_read import PartsRecord
from coverage_audit.runlog.summary import EpochMark, Segment, Summary
from coverage_audit.runlog.visits import Visits
from coverage_audit.runlog.writers import datasets_in, facts_of, journals_of, run_facts_of, stems_in, writer_of


class Record(Protocol):
    """What one writer left, in whichever form."""

    @property
    def writer(self) -> Writer: ...
    @property
    def splits(self) -> tuple[str, ...]: ...
    @property
    def marks(self) -> list[Mark]: ...
    def visits(self) -> Iterator[Visits]: ...
    def summary(self) -> Summary: ...


@dataclass(frozen=True)
class Log:
    """A run log that was opened for reading. Everything is read when it is asked for."""

    path: Path
    run_id: str
    datasets: dict[str, Shards]
    """By fingerprint."""
    records: dict[str, Record]
    live: frozenset[str]

    @property
    def writers(self) -> tuple[Writer, ...]:
        """Every process that recorded, by attempt, rank and process number."""
        return tuple(record.writer for record in self.records.values())

    @cached_property
    def run(self) -> RunInfo:
        """The run as a whole: every writer with how its record ends."""
        return RunInfo(str(self.path), self.run_id, tuple(self._end(n) for n in self.records), dict(self.datasets))

    def visits(self, writer: Writer) -> Iterator[Visits]:
        """What a writer recorded, from the beginning, in chunks. Raises :class:`LogError` (damaged-part)."""
        return self.records[writer.name].visits()

    def marks(self, writer: Writer) -> list[Mark]:
        """Its rare events, in order."""
        return self.records[writer.name].marks

    def summary(self, writer: Writer) -> Summary:
        """What its marks amount to."""
        return self.records[writer.name].summary()

    def epoch_marks(self, writer: Writer) -> tuple[EpochMark, ...]:
        """The epochs and evaluations its trainer told, split by split."""
        return self.summary(writer).epochs

    def segments(self, writer: Writer) -> tuple[Segment, ...]:
        """What each ``iter()`` of its loaders yielded, and how it ended."""
        return self.summary(writer).segments

    def _end(self, name: str) -> WriterEnd:
        record, live = self.records[name], name in self.live
        summary = record.summary()
        return WriterEnd(
            writer=record.writer,
            state=summary.state,
            live=live,
            torn=summary.torn and not live,  # a live writer may be in the middle of an event
            failures=summary.failures,
            unidentified=summary.unidentified,
        )


def read_log(path: str | Path) -> Log:
    """Open the log at ``path`` (``run.parquet``; the folder itself may be missing while all is in journals).

    A writer with all its parts is read from them, else from its journals. Raises :class:`LogError`: no-log,
    empty-log-folder, not-a-run-log, newer-schema, damaged-part, missing-part, missing-journal, bad-state.
    """
    log = Path(os.path.abspath(path))
    state = state_of(log)
    _require_log(log, state, str(path))
    run_facts = run_facts_of(state)
    datasets = datasets_in(state)
    stems = sorted({*stems_in(state), *(m["stem"] for _, m in files_like(log, PART))})
    live = frozenset(stem for stem in stems if is_live(state, stem))
    records: dict[str, Record] = {}
    footers: list[Footer] = []
    for stem in stems:
        parts = parts_of(log, stem)
        if has_all_parts(log, stem):
            record = PartsRecord(parts)
            footers += record.footers
            records[stem] = record
            continue
        journals = journals_of(state, stem)
        if parts and not journals:
            raise _broken(log, stem, parts)
        records[stem] = WriterJoin(writer_of(stem, facts_of(state, stem)), journals, datasets)
    for footer in footers:
        datasets = {**footer.datasets, **datasets}
    run_id = str(run_facts.get("run_id") or next((f.run_id for f in footers), ""))
    return Log(Path(path), run_id, datasets, records, live)


def _require_log(log: Path, state: Path, given: str) -> None:
    if not os.path.lexists(log) and not os.path.lexists(state):
        raise LogError(f"{given}: there is no run log{_hint(log)}", slug="no-log")
    refuse_what_is_no_log(log)
    if not files_like(log, PART) and not (state.is_dir() and any(state.iterdir())):
        raise LogError(
            f"{given} is an empty folder: nothing was recorded into it; record with wrap(..., log={given!r}) first",
            slug="empty-log-folder",
        )


def _hint(log: Path) -> str:
    names = [p.name.removesuffix(".state") for p in log.parent.glob("*.state")] if log.parent.is_dir() else []
    close = difflib.get_close_matches(log.name, names, n=1, cutoff=0.4)
    if close:
        return f"; did you mean {close[0]}?"
    return " here: give the path that was given to wrap(log=...), or record one first"


def _broken(log: Path, stem: str, parts: list[Path]) -> LogError:
    """Why these parts are no complete set."""
    for part in parts:
        try:
            footer = read_footer(part)
        except LogError as error:
            return error
    missing = sorted(set(range(footer.n_rolls)) - {int(part.stem.rsplit("-", 1)[1]) for part in parts})
    name = f"part-{stem}-{missing[0]:05d}.parquet" if missing else parts[0].name
    return LogError(
        f"{log / name} is missing, {footer.n_rolls} parts belong together: restore it from a copy, or move the other "
        f"parts of {stem} away to read the log without this writer",
        slug="missing-part",
    )
