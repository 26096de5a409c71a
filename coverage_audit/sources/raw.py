"""Flat files of numbers, as numpy.memmap and tofile know them: they do not say what they hold, so the caller does.

A type is what ``numpy.dtype`` takes, for one row: ``uint16`` (a row is one number), ``(28,28)u1`` (a row is a picture),
with the bytes to skip at the start of the file after a plus, ``uint16+1024``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from coverage_audit.errors import DatasetError
from coverage_audit.sources.npy import Layout

EXAMPLE = "uint16"


@dataclass(frozen=True, slots=True)
class RowType:
    """One row is ``row_shape`` items of ``dtype``; the first one begins ``offset`` bytes into the file."""

    dtype: np.dtype[Any]
    row_shape: tuple[int, ...]
    offset: int

    def __str__(self) -> str:
        """The text it is made from again."""
        inner = f"({','.join(map(str, self.row_shape))},)" if self.row_shape else ""
        name = self.dtype.name if self.dtype.isnative and self.dtype.isbuiltin and not inner else self.dtype.str
        return f"{inner}{name}" + (f"+{self.offset}" if self.offset else "")

    @property
    def row_bytes(self) -> int:
        return int(np.prod(self.row_shape, dtype=np.int64)) * self.dtype.itemsize

    def layout(self, name: str, size: int) -> Layout:
        """What a file of ``size`` bytes holds. Raises :class:`DatasetError` (damaged-file) if no whole rows."""
        rows, rest = divmod(size - self.offset, self.row_bytes)
        if rows < 0 or rest:
            raise DatasetError(
                f"{name} has {size:,} bytes, which is no whole number of rows of {self.row_bytes:,} bytes "
                f"after the first {self.offset:,}: name the type it has, as in {_example(name)!r}, or write it again",
                slug="damaged-file",
            )
        return Layout((rows, *self.row_shape), self.dtype, False, self.offset)


def row_type(text: str, name: str) -> RowType:
    """What ``text`` says one row of the file ``name`` is. Raises :class:`DatasetError` (raw-needs-type)."""
    kind, _, skip = text.partition("+")
    try:
        offset = int(skip or "0")
        whole = np.dtype(kind) if kind else None
    except (TypeError, ValueError, SyntaxError) as error:
        raise _untyped(f"{name}::{text}: {error}", name) from error
    if whole is None or whole.hasobject or whole.itemsize == 0 or offset < 0:
        raise _untyped(f"{name}::{text} names no type of numbers", name)
    return RowType(whole.base, whole.shape, offset)


def refuse_untyped(name: str) -> DatasetError:
    """The error for a flat file that was named without a type."""
    return _untyped(f"{name} does not say what numbers it holds", name)


def _untyped(what: str, name: str) -> DatasetError:
    return DatasetError(
        f"{what}: name the type of one row, as in {_example(name)!r}, and the bytes to skip at its start if there "
        f"are any, '{_example(name)}+1024'",
        slug="raw-needs-type",
    )


def _example(name: str) -> str:
    return f"{name.rpartition('/')[2].partition('::')[0]}::{EXAMPLE}"
