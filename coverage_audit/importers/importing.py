"""import_log(): the files of a log that was written without us -> a run log, whole or not at all."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from coverage_audit.errors import LogError
from coverage_audit.importers.block import Block, bad_value
from coverage_audit.importers.columns import Columns
from coverage_audit.importers.npy_rows import Layout
from coverage_audit.importers.olmo import CutOff, read_olmo
from coverage_audit.importers.opened import Tell
from coverage_audit.importers.rank_writer import RankWriter
from coverage_audit.importers.step_axis import StepAxis
from coverage_audit.importers.table_rows import Table, read_table
from coverage_audit.model.run import SplitInfo
from coverage_audit.model.shards import Shards
from coverage_audit.model.words import several
from coverage_audit.runlog.folder import refuse_what_is_no_log, state_of, unwritable
from coverage_audit.runlog.hold import archive, hold_log
from coverage_audit.runlog.parts import finish_writer

Format = Table | Literal["olmo"]
FORMATS: tuple[Format, ...] = ("csv", "tsv", "jsonl", "npy", "parquet", "olmo")

_RANK = re.compile(r"(?:^|[^a-z])rank[-_.]?(\d+)", re.IGNORECASE)
_FIRST_STEP = {"olmo": 1}  # where the log itself does not begin with 0 or 1


@dataclass(frozen=True, slots=True)
class Reading:
    """How the files are to be read. ``first_step``: the number of the run's first step, None to see.

    ``finished``: the run came to its end, so that a last epoch shorter than the others is judged too.
    """

    columns: Columns = field(default_factory=Columns)
    layout: Layout = "auto"
    first_step: int | None = None
    finished: bool = False


@dataclass(frozen=True, slots=True)
class Imported:
    """What a log was understood to say. ``missing``: steps without a line, over all ranks; ``restarts``: where in the
    files the run went back, and to which step; ``cut_off``: how files end that break off."""

    ranks: tuple[int, ...]
    attempts: int
    steps: int
    ids: int
    missing: int
    first_missing: int | None
    restarts: tuple[tuple[str, int], ...]
    cut_off: tuple[str, ...]


def import_log(
    kind: Format,
    files: Sequence[Path],
    log: Path,
    info: SplitInfo,
    shards: Shards | None,
    reading: Reading | None = None,
    tell: Tell = lambda _: None,
) -> Imported:
    """Write ``log`` from ``files``; files of one rank (``rank3.csv``, else all) are read one after the other.

    A run log of another run in that place is moved aside, as by any recording. Nothing is left where this raises:
    :class:`LogError` (import-…, unwritable-log, live-writer, not-a-run-log) or ``OSError``. Memory does not grow with
    the files.
    """
    refuse_what_is_no_log(log)
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        workshop = Path(tempfile.mkdtemp(prefix=f".{log.name}.", dir=log.parent))
    except OSError as error:
        raise unwritable(log, error) from error
    making = _Making(workshop / log.name, uuid.uuid4().hex, kind, info, reading or Reading())
    try:
        cut_off = making.read(files, tell)
        if not making.writers:
            raise LogError(f"{files[0]} holds no step: name the files of the log", slug="import-files")
        made = making.finish(shards, cut_off)
        _put_in_place(making.log, log, making.run_id)
    except BaseException:
        for writer in making.writers.values():
            writer.abandon()
        raise
    finally:
        shutil.rmtree(workshop, ignore_errors=True)
    return made


@dataclass
class _Making:
    """The log while it is made, in a folder of its own."""

    log: Path
    run_id: str
    kind: Format
    info: SplitInfo
    reading: Reading
    writers: dict[int, RankWriter] = field(default_factory=dict)

    def read(self, files: Sequence[Path], tell: Tell) -> dict[int | None, str]:
        """All lines of all files. Returns how those end that break off, by the rank of their names."""
        cut_off: dict[int | None, str] = {}
        by_rank = _by_rank(self.kind, files)
        for rank, of_rank in by_rank.items():
            for path in of_rank:
                cut_off.pop(rank, None)  # a later file goes on with what the one before lost
                try:
                    for block in self._blocks(path, tell):
                        self._add(block, rank)
                except CutOff as error:
                    cut_off[rank] = str(error)
        return cut_off

    def _blocks(self, path: Path, tell: Tell) -> Iterator[Block]:
        if self.kind == "olmo":
            return read_olmo(path, tell)
        return read_table(self.kind, path, self.reading.columns, self.reading.layout, tell)

    def _add(self, block: Block, rank: int | None) -> None:
        for value, lines in block.by_rank(0 if rank is None else rank):
            if value < 0:
                raise bad_value(lines.place(0), "the rank", value, wanted="ranks from 0")
            self._writer(value).add(lines)

    def _writer(self, rank: int) -> RankWriter:
        if rank not in self.writers:
            axis = StepAxis(self.reading.first_step, _FIRST_STEP.get(self.kind, 0))
            self.writers[rank] = RankWriter(self.log, self.run_id, rank, self.info, axis)
        return self.writers[rank]

    def finish(self, shards: Shards | None, cut_off: dict[int | None, str]) -> Imported:
        """Close the journals and make the parts."""
        writers = [self.writers[rank] for rank in sorted(self.writers)]
        for writer in writers:
            writer.finish(finished=self.reading.finished, cut_off=cut_off.get(writer.rank, cut_off.get(None)))
        datasets = {} if shards is None else {shards.fingerprint: shards}
        for log in (log for writer in writers for log in writer.logs):
            told = replace(log, world_size=writers[-1].rank + 1)
            told.declare([self.info], datasets, {"imported": self.kind})
            finish_writer(log.state, log.stem)
        return Imported(
            ranks=tuple(w.rank for w in writers),
            attempts=max(len(w.attempts) for w in writers),
            steps=sum(w.steps for w in writers),
            ids=sum(w.ids for w in writers),
            missing=sum(w.missing for w in writers),
            first_missing=next((w.first_missing for w in writers if w.first_missing is not None), None),
            restarts=tuple(restart for w in writers for restart in w.restarts),
            cut_off=tuple(cut_off.values()),
        )


def _by_rank(kind: Format, files: Sequence[Path]) -> dict[int | None, list[Path]]:
    """The files by the rank that their names tell; None where no name tells one."""
    named = {path: _RANK.search(path.name) for path in files}
    silent = [path for path, match in named.items() if match is None]
    if silent and (len(silent) < len(files) or (kind == "olmo" and len(files) > 1)):
        raise LogError(
            f"{silent[0]} does not say of which rank it is, beside {several(len(files) - 1, 'other file')}: name files "
            "as in rank0.tsv.gz, or import them one by one",
            slug="import-files",
        )
    out: dict[int | None, list[Path]] = {}
    for path, match in named.items():
        out.setdefault(None if match is None else int(match[1]), []).append(path)
    return out


def _put_in_place(made: Path, log: Path, run_id: str) -> None:
    """Move the log and its state to where they belong, and what is there out of the way."""
    if state_of(log).exists() or (log.is_dir() and any(log.iterdir())):
        held = hold_log(log, run_id)
        held.hold.release()
        archive(log, held.run_id)
    try:
        os.rename(state_of(made), state_of(log))
        try:
            os.rename(made, log)
        except OSError:
            os.rename(state_of(log), state_of(made))
            raise
    except OSError as error:
        raise unwritable(log, error) from error
