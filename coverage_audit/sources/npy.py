"""The layout of a .npy array from its header; the data is not read.

Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import ast
import math
import struct
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format

from coverage_audit.errors import DatasetError

# numpy refuses headers above 10,000 characters unless told otherwise; wide structured types have longer ones.
_LONGEST_HEADER = 1 << 20


@dataclass(frozen=True, slots=True)
class Header:
    """``rows``: length of the first axis, None for a 0-d array. ``kind``: what one row is, for telling arrays apart."""

    rows: int | None
    kind: str


@dataclass(frozen=True, slots=True)
class Layout:
    """An array of ``shape`` and ``dtype`` whose bytes begin ``offset`` bytes into the stream, in C order or not."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    offset: int

    @property
    def header(self) -> Header:
        return Header(self.shape[0] if self.shape else None, f"{self.shape[1:]} {self.dtype.str}")


def read_header(stream: IO[bytes], name: str, size: int | None) -> Header:
    """Read the header at the start of ``stream``, as :func:`read_layout`."""
    return read_layout(stream, name, size).header


def read_layout(stream: IO[bytes], name: str, size: int | None) -> Layout:
    """Read the header at the start of ``stream``; ``size`` is the length of the stream in bytes, where known.

    Raises :class:`DatasetError` (damaged-file) when this is no .npy data, or when it is shorter than its header says.
    """
    try:
        shape, fortran, dtype = _parse(stream)
    except (ValueError, SyntaxError, TypeError, KeyError, EOFError, struct.error) as error:
        raise DatasetError(
            f"{name} is not a whole .npy array ({error}): write it again with numpy.save, or leave it out",
            slug="damaged-file",
        ) from error
    # Objects are pickled, so their size says nothing.
    needed = 0 if dtype.hasobject else math.prod(shape) * dtype.itemsize
    if size is not None and size - stream.tell() < needed:
        raise DatasetError(
            f"{name} is cut short: its header announces {needed:,} bytes of data, {size - stream.tell():,} are there; "
            "write it again, or leave it out",
            slug="damaged-file",
        )
    return Layout(shape, dtype, fortran, stream.tell())


def _parse(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = npy_format.read_magic(stream)
    if version == (1, 0):
        shape, fortran, dtype = npy_format.read_array_header_1_0(stream, _LONGEST_HEADER)
    elif version == (2, 0):
        shape, fortran, dtype = npy_format.read_array_header_2_0(stream, _LONGEST_HEADER)
    elif version == (3, 0):  # as 2.0 in UTF-8; numpy has no public reader for it
        (length,) = struct.unpack("<I", stream.read(4))
        facts = ast.literal_eval(stream.read(min(length, _LONGEST_HEADER)).decode("utf-8"))
        shape, fortran, dtype = facts["shape"], facts["fortran_order"], npy_format.descr_to_dtype(facts["descr"])
    else:
        raise ValueError(f"format version {version} is unknown")
    if any(n < 0 for n in shape):
        raise ValueError(f"shape {shape} has a negative length")
    return shape, fortran, dtype
