"""Tables of (step, ids[, rank, epoch]) in any of their formats, as blocks."""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from coverage_audit.errors import LogError
from coverage_audit.importers.block import Block
from coverage_audit.importers.columns import Columns
from coverage_audit.importers.csv_rows import read_csv
from coverage_audit.importers.jsonl_rows import read_jsonl
from coverage_audit.importers.npy_rows import Layout, read_npy
from coverage_audit.importers.opened import Tell
from coverage_audit.importers.parquet_rows import read_parquet

Table = Literal["csv", "tsv", "jsonl", "npy", "parquet"]


def read_table(kind: Table, path: Path, columns: Columns, layout: Layout, tell: Tell) -> Iterator[Block]:
    """The lines of one file, in order, a few megabytes at a time; ``tell`` hears of the bytes read.

    A line is a step with one id or with several; a step may go on over lines that follow each other.
    Raises :class:`LogError`: import-column, import-value, import-shape, import-files.
    """
    try:
        if kind in ("csv", "tsv"):
            yield from read_csv(path, columns, tell, "," if kind == "csv" else "\t")
        elif kind == "jsonl":
            yield from read_jsonl(path, columns, tell)
        elif kind == "parquet":
            yield from read_parquet(path, columns, tell)
        else:
            yield from read_npy(path, layout, tell)
    except (EOFError, zlib.error, lzma.LZMAError) as error:
        raise LogError(
            f"{path} is damaged or cut off ({error}): restore it from a copy, or unpack what can be",
            slug="import-files",
        ) from error
