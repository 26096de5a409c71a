"""One .npy array: a matrix of ids, a step a row, or two columns of (step, id)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from coverage_audit.errors import LogError
from coverage_audit.importers.block import Block, bad_value, place
from coverage_audit.importers.opened import Tell

Layout = Literal["auto", "matrix", "pairs"]
IDS = 1 << 19


def read_npy(path: Path, layout: Layout, tell: Tell) -> Iterator[Block]:
    """The rows of a (steps, B) matrix of ids, or of (n, 2) pairs of step and id, some megabytes at a time.

    ``layout`` "auto" takes two columns for pairs. Raises :class:`LogError`: import-shape, import-value,
    import-files.
    """
    where = str(path)
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise LogError(f"{where} is no .npy array ({error}): restore it from a copy", slug="import-files") from error
    pairs = layout == "pairs" or (layout == "auto" and array.ndim == 2 and array.shape[1] == 2)
    if array.ndim != 2 or array.dtype.kind not in "iu" or (pairs and array.shape[1] != 2):
        wanted = "(n, 2) of step and id" if layout == "pairs" else "(steps, B) of ids, or (n, 2) of step and id"
        raise LogError(
            f"{where} holds {array.dtype} of shape {array.shape}: give whole numbers of shape {wanted}",
            slug="import-shape",
        )
    width = array.shape[1]
    rows = max(IDS // max(width, 1), 1)
    for start in range(0, len(array), rows):
        given = array[start : start + rows]
        if given.size and int(given.max()) > np.iinfo(np.int64).max:
            worst = np.unravel_index(int(given.argmax()), given.shape)
            raise bad_value(
                place(where, start + 1 + int(worst[0]), "row"), "a value", int(given[worst]), wanted="ids below 2**63"
            )
        piece = np.array(given, np.int64)
        n = len(piece)
        if pairs:
            step = np.ascontiguousarray(piece[:, 0])
            ids, sizes = np.ascontiguousarray(piece[:, 1]), np.ones(n, np.int64)
            yield Block(where, start + 1, ids, sizes, step, unit="row")
        else:
            yield Block(where, start + 1, piece.reshape(-1), np.full(n, width, np.int64), unit="row")
        tell(n * width * array.itemsize)
