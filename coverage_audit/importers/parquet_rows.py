"""Tables of Parquet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from coverage_audit.errors import LogError
from coverage_audit.importers.arrow_columns import to_block
from coverage_audit.importers.block import Block
from coverage_audit.importers.columns import Columns
from coverage_audit.importers.opened import Tell

IDS = 1 << 20


def read_parquet(path: Path, columns: Columns, tell: Tell) -> Iterator[Block]:
    """The rows, about a million ids at a time. Raises :class:`LogError`: import-column, import-value, import-files."""
    where = str(path)
    size = path.stat().st_size
    try:
        with pq.ParquetFile(path) as file:
            columns = columns.found_in(file.schema_arrow.names, where)
            done, n = 0, file.metadata.num_rows
            per_row = max(_values(file.metadata, str(columns.ids)) // max(n, 1), 1)
            for batch in file.iter_batches(max(IDS // per_row, 1), columns=columns.wanted):
                yield to_block(batch, columns, where, done + 1, "row")
                tell(size * (done + len(batch)) // n - size * done // n)
                done += len(batch)
    except pa.ArrowInvalid as error:
        raise LogError(f"{where} is no Parquet file ({error}): restore it from a copy", slug="import-files") from error


def _values(metadata: pq.FileMetaData, name: str) -> int:
    """How many values a column has, those of lists counted one by one."""
    total = 0
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        columns = map(group.column, range(group.num_columns))
        total += sum(c.num_values for c in columns if c.path_in_schema.split(".")[0] == name)
    return total
