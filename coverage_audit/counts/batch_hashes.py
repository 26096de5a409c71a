"""Batches by what they hold: one 64-bit word for the rows of a batch, whatever their order in it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from coverage_audit.counts.tracker import Piece
from coverage_audit.counts.walk import WORD, Words, factor
from coverage_audit.model.rows import Ints, Mask

SKETCH = 256
"""The smallest words of a pass's batches that are kept: two passes share about as much of them as of their batches
(bottom-k sketch, Cohen & Kaplan 2007)."""
STRETCH = 1 << 15

_FACTOR, _ONE = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)
_NONE: Words = np.empty(0, np.uint64)


@dataclass(frozen=True, slots=True)
class Batches:
    """The batches of one pass. ``rows``: a sum over the visits, whatever batch or order; ``sums``: over the batches.

    ``n``: batches of known rows, ``several``: of them those of two rows or more, which ``sums`` and ``sketch``
    (ascending) are about.
    """

    n: int = 0
    several: int = 0
    rows: int = 0
    sums: int = 0
    sketch: tuple[int, ...] = ()


class BatchHashes:
    """The batches of one stream, piece after piece. A batch cut between two pieces of a pass is put together."""

    def __init__(self, n_rows: int) -> None:
        self.n_rows = n_rows
        self.aliased: list[Ints] = []
        """Rows of batches that hold what the batch before held; whoever counts takes them out."""
        self.aliased_batches = 0
        self._words: Words = np.empty(STRETCH, np.uint64)
        self._shifted: Words = np.empty(STRETCH, np.uint64)
        self._open: tuple[int, int, int] | None = None
        self._before: tuple[int, int, int] = (0, 0, -1)
        self._told = -1
        self._pass = Batches()
        self._sketch = _NONE

    def add(self, piece: Piece) -> None:
        """Batches of a piece, which belongs to the same pass as the piece before unless :meth:`end_pass` was called."""
        ids = piece.ids
        if not len(ids):
            return
        if piece.block.pass_ != self._told:
            # A loader that begins anew may well begin with the batch it ended with; where nobody told it so, a buffer
            # that is filled again and again looks like passes.
            self._told, self._before = piece.block.pass_, (0, 0, -1)
        begins = piece.block.offset[piece.begins : piece.ends] - piece.start
        begins = begins[begins < len(ids)]
        starts = begins if len(begins) and begins[0] == 0 else np.concatenate((np.zeros(1, np.int64), begins))
        goes_on = not (len(begins) and begins[0] == 0)
        starts = starts[np.append(starts[1:] > starts[:-1], True)]  # batches without known rows
        ends = np.append(starts[1:], len(ids))
        sizes = ends - starts
        sums, workers = self._sums(ids, starts), _workers(piece, starts)
        if self._open is not None:
            if goes_on:
                sums[0] = (int(sums[0]) + self._open[0]) & WORD
                sizes[0] += self._open[1]
            else:
                self._complete_open()
            self._open = None
        cut = int(piece.block.offset[piece.ends]) - piece.start > len(ids)
        if cut:
            self._open = int(sums[-1]), int(sizes[-1]), int(workers[-1])
            sums, sizes, workers = sums[:-1], sizes[:-1], workers[:-1]
        if len(sums):
            for index in np.flatnonzero(self._complete(sums, sizes, workers)):
                self.aliased.append(ids[starts[index] : ends[index]])

    def end_pass(self) -> Batches:
        """What the pass so far held; the next piece begins another."""
        if self._open is not None:
            self._complete_open()
            self._open = None
        done, self._pass = replace(self._pass, sketch=tuple(self._sketch.tolist())), Batches()
        self._sketch = _NONE
        return done

    def _sums(self, ids: Ints, starts: Ints) -> Words:
        """One sum of mixed words per batch."""
        out = np.zeros(len(starts), np.uint64)
        at, n = 0, len(ids)
        while at < n:
            stop = min(at + STRETCH, n)
            words, shifted = self._words[: stop - at], self._shifted[: stop - at]
            np.multiply(ids[at:stop].view(np.uint64), _FACTOR, out=words)
            np.right_shift(words, np.uint64(32), out=shifted)
            np.bitwise_xor(words, shifted, out=words)
            np.multiply(words, words, out=words)  # squares: sums of them are not sums of ids
            low = int(np.searchsorted(starts, at, side="right")) - 1
            high = int(np.searchsorted(starts, stop, side="left"))
            out[low:high] += np.add.reduceat(words, np.maximum(starts[low:high] - at, 0))
            at = stop
        return out

    def _complete_open(self) -> None:
        assert self._open is not None
        total, size, worker = self._open
        self._complete(np.array([total], np.uint64), np.array([size]), np.array([worker], np.int32))

    def _complete(self, sums: Words, sizes: Ints, workers: npt.NDArray[np.int32]) -> Mask:
        """Count whole batches; which of them hold the very rows of the one before, of the same loader worker."""
        alike = np.empty(len(sums), np.bool_)
        alike[0] = (int(sums[0]), int(sizes[0]), int(workers[0])) == self._before
        np.equal(sums[1:], sums[:-1], out=alike[1:])
        alike[1:] &= (sizes[1:] == sizes[:-1]) & (workers[1:] == workers[:-1])
        # A batch of everything can only be followed by the same.
        alike &= sizes < self.n_rows
        self.aliased_batches += int(np.count_nonzero(alike))
        self._before = int(sums[-1]), int(sizes[-1]), int(workers[-1])
        done = self._pass
        sums = sums + sizes.astype(np.uint64) * _ONE  # row 0 is a row
        rows = (done.rows + int(sums.sum())) & WORD
        several = sums[sizes > 1]
        keys = _scrambled(several)
        self._pass = Batches(
            n=done.n + len(sums),
            several=done.several + len(several),
            rows=rows,
            sums=(done.sums + int(keys.sum())) & WORD,
        )
        self._sketch = _smallest(self._sketch, keys)
        return alike


def _workers(piece: Piece, starts: Ints) -> npt.NDArray[np.int32]:
    """Which loader worker gave the batch of each of these visits."""
    block = piece.block
    return block.worker[np.searchsorted(block.offset, starts + piece.start, side="right") - 1]


def _scrambled(sums: Words) -> Words:
    """Sums of batches, mixed once more: sums of them must not be sums of rows."""
    words = (sums ^ (sums >> np.uint64(31))) * np.uint64(factor(0))
    return words ^ (words >> np.uint64(30))


def _smallest(known: Words, keys: Words) -> Words:
    if len(known) >= SKETCH:
        keys = keys[keys < known[-1]]
    if not len(keys):
        return known
    return np.sort(np.concatenate((known, keys)))[:SKETCH]
