"""One stream's pieces -> the order of each of its passes, and batches that hold the very rows of the one before."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from coverage_audit.counts.batch_hashes import BatchHashes
from coverage_audit.counts.order import Order, OrderTally
from coverage_audit.counts.tracker import Piece
from coverage_audit.counts.walk import Scratch
from coverage_audit.model.rows import RowSet
from coverage_audit.model.shards import Shards

PlaceOf = npt.NDArray[np.int32] | npt.NDArray[np.int64]


def places_of(shards: Shards | None) -> PlaceOf | None:
    """Sample id -> place among the expected rows (4 bytes a row); None where they are the same."""
    if shards is None or shards.selected is None:
        return None
    mask = shards.selected.mask(shards.n_ids)
    out: PlaceOf
    out = np.cumsum(mask, dtype=np.int32) if len(mask) < np.iinfo(np.int32).max else np.cumsum(mask, dtype=np.int64)
    out -= 1
    return out


class Ordering:
    """``place_of``: see :func:`places_of`; ``scratch`` may be shared by the streams of one count."""

    def __init__(
        self, rank: int, stream: int, shards: Shards | None, place_of: PlaceOf | None, scratch: Scratch
    ) -> None:
        self.rank = rank
        self.stream = stream
        self._n_places = 0 if shards is None else shards.rows
        self._n_shards = 0 if shards is None else len(shards)
        self._place_of = place_of
        self._scratch = scratch
        self._batches = BatchHashes(self._n_places)
        self._pass = self._new_pass()

    def _new_pass(self) -> OrderTally:
        return OrderTally(self._n_places, self._n_shards, self._scratch)

    def add(self, piece: Piece) -> None:
        """Yields of the stream's present pass, consumed or not."""
        if not len(piece.ids):
            return
        block = piece.block
        places = piece.ids if self._place_of is None else self._place_of[piece.ids].astype(np.int64)
        shards = block.shard if block.shard is None else block.shard[piece.start : piece.start + len(piece.ids)]
        self._pass.add(places, shards, block.worker, block.offset, piece.start)
        self._batches.add(piece)

    def end_pass(self, number: int) -> Order:
        """The order of the pass so far; the next piece begins another."""
        done, self._pass = self._pass, self._new_pass()
        return done.finish(self.rank, self.stream, number, self._batches.end_pass())

    def take_aliased(self) -> tuple[int, RowSet]:
        """(how many batches held the very rows of the batch before since the last call, those rows)."""
        taken, self._batches.aliased = self._batches.aliased, []
        n, self._batches.aliased_batches = self._batches.aliased_batches, 0
        return n, RowSet.of_ids(np.concatenate(taken)) if taken else RowSet.empty()
