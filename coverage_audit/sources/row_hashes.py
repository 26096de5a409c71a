"""The bytes of rows as 64-bit numbers: xxh3-64, as specified at https://github.com/Cyan4973/xxHash."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

Hashes = npt.NDArray[np.uint64]

SHORTEST = 8
"""Bytes a row must have to be told by them; shorter rows (labels, single tokens) are equal by chance too often."""

_COPIED = 1024  # up to so many bytes it is faster to copy each row into a bytes object than to make a view of it
_BLOCK = 1 << 14  # rows whose copies are alive at one time


def hash_rows(rows: npt.NDArray[Any]) -> Hashes:
    """One number per row of ``rows`` (n, ...), over its elements in C order and native byte order, and over its type.

    Rows of two types (float32 and int32, say) never share a number because their bytes are the same. Two different
    rows share one with a chance of 2^-64. Object arrays have no bytes and must not be given.
    """
    n = len(rows)
    if not rows.dtype.isnative:
        rows = rows.astype(rows.dtype.newbyteorder("="))
    out = np.empty(n, np.uint64)
    if rows.size == 0:
        out[:] = xxhash.xxh3_64_intdigest(b"")
    else:
        flat = np.ascontiguousarray(rows).reshape(n, -1)
        width = flat.shape[1] * flat.itemsize
        digest: Callable[[Any], int] = xxhash.xxh3_64_intdigest
        if width <= _COPIED:
            whole = flat.view(np.dtype((np.void, width))).reshape(n)
            for at in range(0, n, _BLOCK):
                block = whole[at : at + _BLOCK]
                out[at : at + _BLOCK] = np.fromiter(map(digest, block.tolist()), np.uint64, len(block))
        else:
            out[:] = np.fromiter(map(digest, flat.view(np.uint8)), np.uint64, n)
    out ^= _mark_of(rows.dtype)
    return out


@lru_cache
def _mark_of(dtype: np.dtype[Any]) -> np.uint64:
    return np.uint64(xxhash.xxh3_64_intdigest(np.dtype(dtype).str.encode()))
