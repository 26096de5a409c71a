"""Files for the tests of reading hooks, and what arrays say about the rows they hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from coverage_audit.identity.origins import ORIGINS
from coverage_audit.identity.provenance import shadow_of
from coverage_audit.identity.reads import READS
from coverage_audit.identity.shadows import ids_of
from coverage_audit.recorder import reading

Array = npt.NDArray[Any]

X = np.arange(240, dtype=np.float32).reshape(40, 3, 2)
"""Row r begins with 6 * r."""


@contextmanager
def recording(*files: Path) -> Iterator[None]:
    """The hooks in place, for these files, and somebody who wants to know of reads."""
    for file in files:
        ORIGINS.watch(str(file.resolve()))
    reading.install()
    READS.listeners += 1
    try:
        yield
    finally:
        READS.listeners -= 1
        reading.uninstall()


def rows_of(array: Any) -> list[int] | int | None:
    """The rows an array says it holds, one number where it is (part of) one row; None for an untracked array."""
    shadow = shadow_of(array)
    if shadow is None:
        return None
    ids = ids_of(shadow)
    if not ids.size:
        return []
    rows = ids - ORIGINS.at(int(ids.flat[0])).base
    return int(rows) if rows.ndim == 0 else [int(r) for r in rows]


def rows_told(since: int = 0) -> list[list[int]]:
    """The rows of each read that was told."""
    told = []
    for read in READS.since(since):
        ids = np.atleast_1d(ids_of(read.rows))
        told.append([int(i) - ORIGINS.at(int(ids[0])).base for i in ids] if ids.size else [])
    return told


def serial() -> int:
    """The number of the last read."""
    kept = READS.since(0)
    return kept[-1].serial if kept else 0
