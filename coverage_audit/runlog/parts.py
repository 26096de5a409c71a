"""Journals of a finished writer -> Parquet parts, one per journal, then the journals go.

A part is written under another name in the state folder. All of a writer's parts are written before the first is
moved to its place, and no journal is deleted before the last one is there: whatever moment this is interrupted at,
either the journals or the parts are whole, and doing it again finishes it.
"""

from __future__ import annotations

import fcntl
import inspect
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from coverage_audit.errors import LogError
from coverage_audit.runlog.folder import PART, files_like, state_of, unwritable
from coverage_audit.runlog.footer import Footer, arrow_schema, read_footer
from coverage_audit.runlog.join import WriterJoin
from coverage_audit.runlog.journal import is_live
from coverage_audit.runlog.schema import VISITS
from coverage_audit.runlog.visits import Visits
from coverage_audit.runlog.writers import datasets_in, facts_of, journals_of, run_facts_of, stems_in, writer_of

ROW_GROUP = 1 << 20
# Never a dictionary: rows and shards are as good as random in a shuffled run, batches and steps count up.
_ENCODING = {
    "row": "BYTE_STREAM_SPLIT",
    "shard": "BYTE_STREAM_SPLIT",
    "batch": "DELTA_BINARY_PACKED",
    "step": "DELTA_BINARY_PACKED",
}

# The page size is what makes shuffled rows small: pages of pyarrow's default 20,000 rows cost twice the overhead.
_PAGES = {"max_rows_per_page": 262_144} if "max_rows_per_page" in inspect.signature(pq.ParquetWriter).parameters else {}
_OPTIONS: dict[str, Any] = {
    "compression": "zstd",
    "compression_level": 1,
    "use_dictionary": [c.name for c in VISITS if c.name not in _ENCODING],
    "column_encoding": _ENCODING,
    "data_page_size": 4 << 20,
    **_PAGES,
}


def finish_log(path: str | Path) -> int:
    """Make the parts of every writer that is not live; returns for how many writers.

    Raises :class:`LogError` for what cannot be read or written; the journals stay.
    """
    log = Path(os.path.abspath(path))
    state = state_of(log)
    if not state.is_dir():
        return 0
    with _held(state / "run.json", fcntl.LOCK_SH) as is_ours:
        if not is_ours:  # it is being moved out of another run's way
            return 0
        return sum(finish_writer(state, stem) > 0 for stem in stems_in(state))


def finish_writer(state: Path, stem: str) -> int:
    """Make the parts of one writer; returns how many. 0 if it is live, or there is nothing to do.

    ``state`` is the log's state folder. A torn journal is converted up to its last whole event and said to be torn.
    Raises :class:`LogError` for what cannot be read or written; the journals stay.
    """
    log = state.with_name(state.name.removesuffix(".state"))
    with _held(state / f"{stem}.json", fcntl.LOCK_EX) as is_ours:
        journals = journals_of(state, stem) if not has_all_parts(log, stem) else []
        if not is_ours or is_live(state, stem):
            return 0
        try:
            for left_behind in state.glob(f".part-{stem}-*.tmp"):  # by a conversion that was killed; we hold the lock
                left_behind.unlink()
            if journals:
                _make_parts(log, state, stem, journals)
            for leftover in state.glob(f"{stem}-*.journal"):
                leftover.unlink()
        except OSError as error:
            raise error if isinstance(error, LogError) else unwritable(log, error) from error
        return len(journals)


def parts_of(log: Path, stem: str) -> list[Path]:
    """The parts of a writer that are there, in order."""
    return [path for path, m in files_like(log, PART) if m["stem"] == stem]


def has_all_parts(log: Path, stem: str) -> bool:
    """Whether every journal of this writer has become a part, and each has a readable footer.

    Raises :class:`LogError` (newer-schema).
    """
    parts = parts_of(log, stem)
    try:
        footers = [read_footer(part) for part in parts]
    except LogError as error:
        if error.slug == "newer-schema":
            raise
        return False
    return bool(footers) and [f.roll for f in footers] == list(range(footers[0].n_rolls))


def _make_parts(log: Path, state: Path, stem: str, journals: list[Path]) -> None:
    facts = facts_of(state, stem)
    writer = writer_of(stem, facts)
    wanted = {s.fingerprint for s in writer.splits}
    datasets = {key: shards for key, shards in datasets_in(state).items() if key in wanted}
    join = WriterJoin(writer, journals, datasets)
    run_id = str(run_facts_of(state).get("run_id") or facts.get("run_id") or "")
    temporaries = [state / f".part-{stem}-{roll:05d}.{os.getpid()}.tmp" for roll in range(len(journals))]
    try:
        chunks = join.visits_by_roll()
        pending = next(chunks, None)
        for roll, temporary in enumerate(temporaries):
            last = roll == len(journals) - 1
            footer = Footer(
                run_id=run_id,
                stem=stem,
                roll=roll,
                n_rolls=len(journals),
                splits=join.splits,
                writer=facts,
                marks=tuple(join.marks_by_roll[roll]),
                datasets=datasets if roll == 0 else {},
            )
            with _PartWriter(temporary, join.splits) as part:
                while pending is not None and pending[0] == roll:
                    part.add(pending[1])
                    pending = next(chunks, None)
                part.finish(footer if not last else _with_summary(footer, join))
        log.mkdir(exist_ok=True)
        for roll, temporary in enumerate(temporaries):
            temporary.rename(log / f"part-{stem}-{roll:05d}.parquet")
    finally:
        for temporary in temporaries:
            temporary.unlink(missing_ok=True)


def _with_summary(footer: Footer, join: WriterJoin) -> Footer:
    return replace(footer, summary=join.summary())


class _PartWriter:
    """One Parquet file, a row group at a time."""

    def __init__(self, path: Path, splits: tuple[str, ...]) -> None:
        self._path = path
        self._names = _texts(splits)
        self._schema = arrow_schema()
        self._writer = pq.ParquetWriter(path, self._schema, **_OPTIONS)
        self._waiting: list[Visits] = []

    def __enter__(self) -> _PartWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def add(self, visits: Visits) -> None:
        self._waiting.append(visits)
        if sum(map(len, self._waiting)) >= ROW_GROUP:
            self._flush()

    def finish(self, footer: Footer) -> None:
        """Write the rest and the footer, down to the disk: the journal is deleted after this."""
        self._flush()
        self._writer.add_key_value_metadata(footer.to_metadata())
        self._writer.close()
        fd = os.open(self._path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def _flush(self) -> None:
        if self._waiting:
            visits = Visits.concat(self._waiting)
            self._waiting = []
            self._writer.write_table(to_table(visits, self._names, self._schema), row_group_size=ROW_GROUP)


def to_table(visits: Visits, names: pa.Array, schema: pa.Schema) -> pa.Table:
    """Visits as an Arrow table of the run log's columns."""
    n = len(visits)
    constant = {"attempt": visits.attempt, "rank": visits.rank, "process": visits.process}
    arrays = [pa.DictionaryArray.from_arrays(_column(visits.split), names)]
    for column in VISITS[1:]:
        if column.name in constant:
            arrays.append(_column(np.full(n, constant[column.name], np.int32)))
        else:
            arrays.append(_column(getattr(visits, "pass_" if column.name == "pass" else column.name)))
    return pa.Table.from_arrays(arrays, schema=schema)


def _column(values: npt.NDArray[Any]) -> pa.Array:
    """As pa.array(), which would import pandas to look whether it is given any."""
    return pa.Array.from_buffers(
        pa.from_numpy_dtype(values.dtype), len(values), [None, pa.py_buffer(np.ascontiguousarray(values))]
    )


def _texts(values: Sequence[str]) -> pa.Array:
    """The same for strings."""
    encoded = [value.encode() for value in values]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    return pa.Array.from_buffers(pa.string(), len(encoded), [None, pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))])


@contextmanager
def _held(path: Path, how: int) -> Iterator[bool]:
    """Hold a lock on a state file, if it is there; False if somebody else's is in the way."""
    if not path.exists():
        yield True
        return
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(fd, how | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(fd)
