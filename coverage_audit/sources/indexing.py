"""From the contents of a dataset to tables by which its rows are found: rows by their bytes, streams by anchors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from coverage_audit.errors import DatasetError, UsageError
from coverage_audit.model.rows import Ints
from coverage_audit.sources.anchors import Spacing, find_anchors, spacing_for
from coverage_audit.sources.columns import MakeColumn
from coverage_audit.sources.contents import Contents
from coverage_audit.sources.row_hashes import SHORTEST, hash_rows
from coverage_audit.sources.row_table import RowTable, build_table

BLOCK = 1 << 23
"""Bytes read at one time."""

Transform = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]
"""(n, ...) rows -> (n, ...) rows, elementwise: what comes out must not depend on which rows come together."""

Told = Callable[[int], None]
"""Hears of rows that were dealt with; of each twice, when it was read and when it was put in order."""


@dataclass(frozen=True)
class Kind:
    """What one row of a shard is: numbers of ``dtype`` (native) in ``row_shape``; ``member``: see :class:`Contents`."""

    dtype: np.dtype[Any]
    row_shape: tuple[int, ...]
    member: str = ""

    @property
    def is_stream(self) -> bool:
        """Whether rows are single numbers, told only by their neighbours."""
        return not self.row_shape

    @property
    def elements(self) -> int:
        return int(np.prod(self.row_shape, dtype=np.int64))

    @property
    def row_bytes(self) -> int:
        return self.elements * self.dtype.itemsize

    @property
    def is_indexed(self) -> bool:
        """Whether rows can be found at all."""
        if self.dtype.hasobject:
            return False
        return self.dtype.kind in "iufb" if self.is_stream else self.row_bytes >= SHORTEST


def kinds_of(contents: Contents, shards: int) -> tuple[Kind, ...]:
    """Per shard what its rows are; of several arrays, the one with the largest rows. Raises :class:`DatasetError`."""
    return tuple(_kind(contents, shard) for shard in range(shards))


def _kind(contents: Contents, shard: int) -> Kind:
    found = []
    for member in contents.members(shard):
        dtype, row_shape = contents.row_dtype(shard, member)
        found.append(Kind(dtype.newbyteorder("=") if not dtype.isnative else dtype, row_shape, member))
    return max(found, key=lambda kind: kind.row_bytes)


def index_rows(
    contents: Contents,
    kinds: Sequence[Kind],
    offsets: Ints,
    column: MakeColumn,
    told: Told,
    transform: Transform | None = None,
) -> tuple[RowTable | None, tuple[Kind, ...]]:
    """The table of all rows that are more than single numbers (None if there are none), and what they are transformed.

    Reads everything once. Raises :class:`DatasetError` for files that cannot be read, :class:`UsageError`
    (bad-transform) for a transform that is no function or does not give as many rows as it takes.
    """
    if transform is not None and not callable(transform):
        raise UsageError(f"transform={transform!r}: give a function of rows, or leave it out", slug="bad-transform")
    out = list(kinds)
    spans: list[tuple[int, int]] = []
    hashes = column("unsorted", np.uint64)
    for shard, kind in enumerate(kinds):
        start, stop = offsets[shard : shard + 2].tolist()
        if stop == start or kind.is_stream or not (kind.is_indexed or transform is not None):
            continue
        known = contents.hashes(shard) if transform is None else None
        if known is not None:
            hashes.append(known)
            told(len(known))
            spans.append((start, stop))
            continue
        for first, block in contents.blocks(shard, max(BLOCK // max(kind.row_bytes, 1), 1), kind.member):
            rows = block if transform is None else _transformed(transform, block)
            made = Kind(rows.dtype.newbyteorder("="), rows.shape[1:], kind.member)
            if first == 0:
                out[shard] = made
            elif made != out[shard]:
                raise _bad_transform(
                    f"rows of {out[shard].dtype} {out[shard].row_shape}, then {made.dtype} {made.row_shape}"
                )
            if not made.is_indexed or made.is_stream:
                break
            hashes.append(hash_rows(rows))
            told(len(block))
        else:
            spans.append((start, stop))
    all_hashes = hashes.whole()
    if not spans:
        return None, tuple(out)
    return build_table(all_hashes, _numbering(spans), int(offsets[-1]), column, told), tuple(out)


def index_streams(
    contents: Contents, kinds: Sequence[Kind], offsets: Ints, column: MakeColumn, told: Told
) -> tuple[RowTable, Spacing] | None:
    """The anchors of all streams as a table from keys to places (sample ids); None if there are no streams."""
    streams = [shard for shard, kind in enumerate(kinds) if kind.is_stream and kind.is_indexed]
    total = sum(int(offsets[shard + 1] - offsets[shard]) for shard in streams)
    if not total:
        return None
    spacing = spacing_for(total)
    keys, places = column("unsorted-keys", np.uint64), column("unsorted-places", np.int64)
    overlap = spacing.shortest - 1
    for shard in streams:
        kind = kinds[shard]
        tail = np.empty(0, kind.dtype)
        last = -1
        for first, block in contents.blocks(shard, BLOCK // kind.dtype.itemsize, kind.member):
            numbers = np.concatenate((tail, block.astype(kind.dtype, copy=False)))
            base = int(offsets[shard]) + first - len(tail)
            found, made = find_anchors(numbers, spacing)
            new = found + base > last
            places.append(found[new] + base)
            keys.append(made[new])
            last = int(found[-1]) + base if len(found) else last
            tail = numbers[-overlap:]
            told(len(block))
    where, all_keys = places.whole(), keys.whole()

    def told_anchors(n: int) -> None:
        told(n * total // max(len(all_keys), 1))

    return build_table(all_keys, lambda at: where[at], int(offsets[-1]), column, told_anchors), spacing


def entropy(contents: Contents, kinds: Sequence[Kind], shard: int) -> float:
    """Bits per number of a stream: -log2 of the chance that two of its numbers are equal, from its first block."""
    for _, block in contents.blocks(shard, 1 << 16, kinds[shard].member):
        _, counts = np.unique(block, return_counts=True)
        return float(-np.log2(((counts / len(block)) ** 2).sum()))
    return 0.0


def _numbering(spans: Sequence[tuple[int, int]]) -> Callable[[Ints], Ints]:
    """From ordinals over these spans of ids, one after the other, to the ids."""
    lengths = np.array([stop - start for start, stop in spans], np.int64)
    firsts = np.concatenate(([0], np.cumsum(lengths)))[:-1]
    shifts = np.array([start for start, _ in spans], np.int64) - firsts
    if not shifts.any():
        return lambda at: at
    return lambda at: np.asarray(at + shifts[np.searchsorted(firsts, at, side="right") - 1])


def _transformed(transform: Transform, block: npt.NDArray[Any]) -> npt.NDArray[Any]:
    rows = np.asarray(transform(block))
    if rows.ndim == 0 or len(rows) != len(block) or rows.dtype.hasobject:
        raise _bad_transform(f"an array of shape {rows.shape} and type {rows.dtype} of {len(block)} rows")
    return rows


def _bad_transform(made: str) -> UsageError:
    return UsageError(
        f"transform= made {made}: it must give one row for each row it gets, all of one kind", slug="bad-transform"
    )


def refuse_short(kinds: Sequence[Kind]) -> DatasetError:
    """The error for data whose rows cannot be told apart."""
    kind = kinds[0] if kinds else None
    what = "there are no shards" if kind is None else f"a row is {kind.row_bytes} bytes of {kind.dtype}"
    return DatasetError(
        f"no row of this dataset can be told by its bytes ({what}, {SHORTEST} are needed): index the features, not "
        "the labels, or give ids=",
        slug="rows-too-short",
    )
