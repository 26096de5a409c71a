"""Rows recognised by what they hold: among the rows read lately, then in an index of all rows.

An index is what :meth:`Dataset.index` wrote; without one, small data is indexed in memory, once, when the rows read
lately do not explain a batch. A batch is known as a whole or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from coverage_audit.errors import DatasetError
from coverage_audit.identity.batches import NO_IDS, Answer, Unknown
from coverage_audit.identity.candidates import Candidates
from coverage_audit.identity.declared import Declared
from coverage_audit.identity.reads import READS, Reads
from coverage_audit.identity.row_index import Before, RowIndex
from coverage_audit.identity.scalings import restore
from coverage_audit.identity.windows import Streams
from coverage_audit.locks import new_lock
from coverage_audit.model.event import Found
from coverage_audit.model.rows import Ints, RowSet
from coverage_audit.sources.contents import Contents
from coverage_audit.sources.index import ContentIndex, index_in_memory
from coverage_audit.sources.indexing import Kind, kinds_of
from coverage_audit.sources.row_hashes import SHORTEST, Hashes, hash_rows

Array = npt.NDArray[Any]

MOST_BYTES = 1 << 28
"""Data up to this size is indexed in memory."""

MOST_ROWS = 1 << 21


class Twins(NamedTuple):
    """``groups`` of identical rows, ``rows`` in them, ``of`` so many rows that were looked at."""

    groups: int
    rows: int
    of: int


class _Match(NamedTuple):
    """One way to read a batch as rows of the data; ``deal`` gives their ids and counts the visit."""

    how: tuple[np.dtype[Any], str]
    found: Found
    deal: Callable[[], Ints]


class Content:
    """Knows the rows of arrays that hold them whole. Thread-safe.

    ``index``: None if there is none. ``offset``: the rank; identical rows are dealt from another member on each.
    ``selected``: the rows that are meant where only some of the identical ones are. ``before``: see
    :class:`~coverage_audit.identity.row_index.RowIndex`.
    """

    def __init__(
        self,
        declared: Declared,
        contents: Contents,
        index: ContentIndex | None,
        offset: int = 0,
        selected: RowSet | None = None,
        reads: Reads = READS,
        before: Before | None = None,
    ) -> None:
        self._declared = declared
        self._contents = contents
        self._offset = offset
        self._selected = selected
        self._reads = reads
        self._before = before
        self._lock = new_lock(self)
        self._why_not = ""
        self._hints: dict[tuple[int, np.dtype[Any]], tuple[np.dtype[Any], str]] = {}
        self._index: RowIndex | None = None
        self._candidates: Candidates | None = None
        self._streams: Streams | None = None
        self._has_anchors = False
        self._may_index = index is None
        self._kinds: tuple[Kind, ...] = ()
        self._unread = ""
        try:
            self._kinds = kinds_of(contents, len(declared.rows)) if index is None else index.kinds
        except DatasetError as error:
            self._unread = error.message
        self._types: dict[int, tuple[np.dtype[Any], ...]] = {}
        for kind in self._kinds:
            if kind.is_indexed and not kind.is_stream and kind.dtype not in self._types.get(kind.elements, ()):
                self._types[kind.elements] = (*self._types.get(kind.elements, ()), kind.dtype)
        self._short = {k.elements for k in self._kinds if not k.is_indexed and not k.dtype.hasobject}
        if any(kind.is_stream and kind.is_indexed for kind in self._kinds):
            self._streams = Streams(declared, contents, self._kinds, offset, reads)
        if index is not None:
            self._use(index)
        elif self._types:
            self._candidates = Candidates(declared, contents, self._kinds, offset, selected, reads)

    def close(self) -> None:
        """Reads need not be remembered for this one any more."""
        with self._lock:
            if self._candidates is not None:
                self._candidates.close()
                self._candidates = None
            if self._streams is not None:
                self._streams.close()
                self._streams = None

    @property
    def twins(self) -> Twins:
        """Identical rows, as far as they have come to light."""
        with self._lock:
            if self._index is not None:
                table = self._index.table
                return Twins(table.groups, table.rows_in_groups, int(self._declared.offsets[-1]))
            if self._candidates is not None:
                return Twins(self._candidates.groups, self._candidates.rows_in_groups, self._candidates.hashed)
            return Twins(0, 0, 0)

    def tell(self, leaf: Array, at: int) -> tuple[Found, Answer] | Unknown | None:
        """The rows of one array of a batch, at position ``at`` of it.

        None if it cannot be rows of this data, for its shape or type; Unknown, with the reason, if they cannot be told.
        Raises :class:`DatasetError` if a file has changed.
        """
        if leaf.ndim == 0 or leaf.dtype.hasobject:
            return None
        n = leaf.shape[0]
        elements = leaf.size // n if n else int(np.prod(leaf.shape[1:], dtype=np.int64))
        types = self._types.get(elements) if leaf.ndim > 1 else None
        if types is None and self._streams is None:
            return self._not_even_looked(n, elements)
        with self._lock:
            if types is not None:
                if n == 0:
                    return Found.RECENT_CONTENT, NO_IDS
                return self._rows(np.ascontiguousarray(leaf).reshape(n, elements), at, types)
            return self._pieces(leaf)

    def _not_even_looked(self, n: int, elements: int) -> Unknown | None:
        if self._unread:
            return Unknown(n, "rows cannot be told by what they hold", self._unread)
        if elements in self._short:
            return Unknown(n, f"rows of less than {SHORTEST} bytes are too short to be told apart by what they hold")
        return None

    def _rows(self, values: Array, at: int, types: Sequence[np.dtype[Any]]) -> tuple[Found, Answer] | Unknown | None:
        key = (at, values.dtype)
        matches = self._matches(values, types, self._hints.get(key))
        if not matches and self._grow():
            matches = self._matches(values, types, self._hints.get(key))
        if len(matches) > 1:
            ways = " or ".join(f"{dtype} {name}" for (dtype, name), _, _ in matches)
            return Unknown(len(values), "the values of a batch may be rows of the data in more ways than one", ways)
        if not matches:
            return self._unknown(len(values))
        how, found, deal = matches[0]
        if _is_bland(values):
            return Unknown(len(values), "all rows of the batch are the same constant, which says nothing about them")
        self._hints[key] = how
        return found, deal()

    def _matches(
        self, values: Array, types: Sequence[np.dtype[Any]], hint: tuple[np.dtype[Any], str] | None
    ) -> list[_Match]:
        """Every way to read the values as rows of the data; the one of the last time alone, if it still is one.

        With several types of rows nothing is taken for granted: the same values may be in two of them.
        """
        if self._candidates is not None:
            self._candidates.refresh()
        matches: list[_Match] = []
        for dtype in types:
            for name, stored in restore(values, dtype, hint[1] if hint is not None else None):
                match = self._match(hash_rows(stored), (dtype, name))
                if match is None:
                    continue
                if len(types) == 1 and match.how == hint:
                    return [match]
                matches.append(match)
        return matches

    def _match(self, hashes: Hashes, how: tuple[np.dtype[Any], str]) -> _Match | None:
        if self._index is not None:
            index = self._index
            places = index.find(hashes)
            return None if places is None else _Match(how, Found.INDEXED_CONTENT, lambda: index.deal(places))
        if self._candidates is not None:
            candidates = self._candidates
            entries = candidates.find(hashes)
            return None if entries is None else _Match(how, Found.RECENT_CONTENT, lambda: candidates.deal(entries))
        return None

    def _pieces(self, leaf: Array) -> tuple[Found, Answer] | Unknown | None:
        assert self._streams is not None
        pieces = self._streams.pieces_of(leaf)
        if pieces is None or isinstance(pieces, Unknown):
            return pieces
        recent = self._streams.find_recent(pieces)
        if recent is not None:
            return Found.RECENT_CONTENT, recent
        if not self._has_anchors and not self._grow():
            return self._unknown(leaf.size)
        if not self._has_anchors:
            return self._unknown(leaf.size)
        told = self._streams.find_indexed(pieces)
        if told is None:
            return self._unknown(leaf.size)
        return told if isinstance(told, Unknown) else (Found.INDEXED_CONTENT, told)

    def _unknown(self, n: int) -> Unknown:
        if self._why_not:
            return Unknown(n, "rows cannot be told by what they hold", self._why_not)
        return Unknown(n, "the batch holds rows that are not in the data, byte for byte or by an exact scaling")

    def _grow(self) -> bool:
        """Index small data in memory, the first time it is needed. Whether there is an index that was not before."""
        if not self._may_index:
            return False
        self._may_index = False
        rows = self._declared.rows
        unread = [shard for shard in range(len(rows)) if not self._contents.is_at_hand(shard)]
        size = sum(rows[shard] * self._kinds[shard].row_bytes for shard in unread)
        if size > MOST_BYTES or (self._types and sum(rows[shard] for shard in unread) > MOST_ROWS):
            self._why_not = (
                f"they are not among the rows read lately, and {size >> 20:,} MiB are too many to be looked through "
                "while a run goes on: index them once with Dataset.index()"
            )
            return False
        try:
            index = index_in_memory(self._contents, rows)
        except DatasetError as error:
            if error.slug == "changed-file":
                raise
            self._why_not = error.message
            return False
        self._use(index.limited_to(self._selected))
        return True

    def _use(self, index: ContentIndex) -> None:
        if index.rows is not None:
            self._index = RowIndex(index.rows, self._offset, self._before)
            if self._candidates is not None:
                for hashes, told in self._candidates.told():
                    self._index.go_on_from(hashes, told)
                self._candidates.close()
                self._candidates = None
        if index.anchors is not None and index.spacing is not None and self._streams is not None:
            self._streams.use(index.anchors, index.spacing)
            self._has_anchors = True


def _is_bland(values: Array) -> bool:
    """Whether the batch is one number over and over."""
    return bool((values[0] == values[0, 0]).all()) and bool((values == values[0]).all())
