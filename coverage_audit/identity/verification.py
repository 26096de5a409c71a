"""Does a batch really hold the rows it is said to hold? Looked up in the files, for a sample of batches."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from coverage_audit.identity.agreement import ids_in
from coverage_audit.identity.batches import Answer
from coverage_audit.identity.declared import Declared
from coverage_audit.identity.scalings import restore
from coverage_audit.model.event import BatchRows
from coverage_audit.model.rows import Ints

AT_MOST = 1 << 20
"""Bytes compared per batch; of larger ones, evenly spread rows."""

MOST_ROWS = 64
"""Rows compared per batch: one wrong row in a sample of batches is what is looked for, not each of them."""


class Contents(Protocol):
    """Reads the rows of a shard from its file."""

    def read(self, shard: int, rows: Ints) -> npt.NDArray[Any]:
        """(n, ...) in the order asked. Raises ``DatasetError`` or ``OSError`` if it cannot."""


def holds(
    declared: Declared, contents: Contents, leaf: npt.NDArray[Any], rows: Answer, *, altered: bool
) -> bool | None:
    """Whether ``leaf`` holds ``rows``: True, False, or None where its values cannot be compared with the file's.

    ``altered``: the values may rightly differ (they went through arithmetic), so that only equality says something.
    """
    ids = ids_in(declared, rows)
    if isinstance(rows, BatchRows) and rows.runs is not None:
        leaf = leaf.reshape(-1)
    if not ids.size or leaf.ndim == 0 or leaf.shape[0] != ids.size:
        return None
    row_bytes = max(leaf.nbytes // leaf.shape[0], 1)
    step = max(-(-ids.size * row_bytes // AT_MOST), -(-ids.size // MOST_ROWS))
    stored = read_rows(declared, contents, ids[::step])
    seen = leaf[::step]
    if stored is None or stored.size != seen.size or stored.dtype.hasobject or seen.dtype.hasobject:
        return None
    return _equal(np.ascontiguousarray(seen).reshape(stored.shape), stored, altered=altered)


def read_rows(declared: Declared, contents: Contents, ids: Ints) -> npt.NDArray[Any] | None:
    """(n, ...) the rows of these sample ids, from however many shards; None if their shapes or types differ."""
    shards = np.searchsorted(declared.offsets, ids, side="right") - 1
    if shards[0] == shards[-1] and np.all(shards == shards[0]):
        return contents.read(int(shards[0]), ids - declared.offsets[shards])
    out: npt.NDArray[Any] | None = None
    for shard in np.unique(shards):
        here = shards == shard
        rows = contents.read(int(shard), ids[here] - declared.offsets[shard])
        if out is None:
            out = np.empty((len(ids), *rows.shape[1:]), rows.dtype)
        elif rows.dtype != out.dtype or rows.shape[1:] != out.shape[1:]:
            return None
        out[here] = rows
    return out


def _equal(seen: npt.NDArray[Any], stored: npt.NDArray[Any], *, altered: bool) -> bool | None:
    if _same_values(seen, stored):
        return True
    if altered or seen.dtype != stored.dtype:
        for _, values in restore(seen, stored.dtype):
            if _same_values(values, stored):
                return True
    return None if altered else False


def _same_values(seen: npt.NDArray[Any], stored: npt.NDArray[Any]) -> bool:
    """Equal after a cast to the batch's type; a NaN equals itself."""
    try:
        cast = stored.astype(seen.dtype, copy=False)
    except (TypeError, ValueError):  # fields against numbers: another kind of thing
        return False
    return cast.tobytes() == seen.tobytes() or bool(np.array_equal(cast, seen, equal_nan=seen.dtype.kind in "fc"))
