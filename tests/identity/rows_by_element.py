"""Worlds to run one and the same numpy program in: with ordinary arrays, with tracked ones, and with arrays whose
elements say which rows they come from."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from coverage_audit.identity.origins import ORIGINS, Key, Origin
from coverage_audit.identity.provenance import altered, shadow_of, track
from coverage_audit.identity.shadows import Span, Windows, ids_of

Array = npt.NDArray[Any]
_paths = itertools.count()


def origin_of(rows: int) -> Origin:
    """Of a file that nobody has opened before."""
    return ORIGINS.register(Key(f"/nowhere/{next(_paths)}.npy", "", 1, 1), rows)


class File(NamedTuple):
    """An array on disk: what it holds, where it was registered, and the bit that stands for its first row."""

    values: Array
    origin: Origin
    bit: int

    def tracked(self, order: str = "C") -> Array:
        """As loaded whole while recording."""
        return track(self.values.copy(order), Span(self.origin.base, 1, len(self.values)))  # type: ignore[arg-type]

    def truth(self, order: str = "C") -> Array:
        """int64 in the shape of the values: the bit of its row in every element."""
        out = np.empty_like(self.values.copy(order), np.int64)  # type: ignore[arg-type]
        out.T[...] = np.int64(1) << np.arange(self.bit, self.bit + len(self.values), dtype=np.int64)
        return out


def make_files(*shapes: tuple[int, ...]) -> tuple[File, ...]:
    """Files in which every number occurs once."""
    files = []
    bit = number = 0
    for shape in shapes:
        values = np.arange(number, number + np.prod(shape), dtype=np.float64).reshape(shape)
        files.append(File(values, origin_of(shape[0]), bit))
        bit += shape[0]
        number += values.size
    assert bit < 63
    return tuple(files)


def check_rows(files: tuple[File, ...], tracked: Any, truth: Array) -> None:
    """What a tracked array says of its rows must be so."""
    shadow = shadow_of(tracked)
    if shadow is None:
        return
    ids = ids_of(shadow)
    if isinstance(shadow, Windows):
        assert truth.shape[:2] == (len(shadow.firsts), shadow.length)
        entries = truth.reshape(-1, *truth.shape[2:])
        values = np.asarray(tracked).reshape(entries.shape)
    elif ids.ndim == 0:
        ids, entries, values = ids.reshape(1), truth[None], np.asarray(tracked)[None]
    else:
        entries, values = truth, np.asarray(tracked)
    assert len(ids) == len(entries)
    exact = not altered(tracked)
    for row_id, entry, value in zip(ids.tolist(), entries, values, strict=True):
        if row_id < 0:
            continue
        file = next(f for f in files if f.origin.base <= row_id < f.origin.base + f.origin.rows)
        row = row_id - file.origin.base
        assert np.all((entry & ~(np.int64(1) << (file.bit + row))) == 0), f"row {row} also holds elements of others"
        if exact:
            assert np.asarray(value).ravel().tolist() == file.values[row].ravel().tolist()


def outcome(run: Callable[[], Any]) -> tuple[Any, str | None]:
    """What a call gives, or what it raises."""
    try:
        return run(), None
    except Exception as error:  # noqa: BLE001 - any error of numpy's is to be the same in all worlds
        return None, f"{type(error).__name__}: {error}"
