"""Which file an array is the memory map of."""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import Any

import numpy as np

from coverage_audit.sources.files import SUFFIXES
from coverage_audit.sources.raw import RowType


def file_of(thing: Any) -> tuple[Path | None, str]:
    """The file behind an array that is the whole of its memory map (a slice keeps the name, not the rows), and member.

    Of a flat file the array must be all from its offset to the end of the file, in C order.
    """
    # The stubs of numpy do not know that the base of a memory map is the map itself.
    base: object = getattr(thing, "base", None)
    if type(base) is np.memmap and thing.shape == base.shape and thing.strides == base.strides:
        thing, base = base, base.base  # arrays that remember their rows are views of the memory map they stand for
    if not isinstance(thing, np.memmap) or not isinstance(base, mmap.mmap) or thing.filename is None:
        return None, ""
    path = Path(thing.filename).absolute()
    if path.suffix == ".npy":
        return path, ""
    whole = os.path.isfile(path) and thing.offset + thing.nbytes == os.path.getsize(path)
    if path.suffix in SUFFIXES or not whole or not thing.nbytes or not thing.flags.c_contiguous:
        return None, ""
    return path, str(RowType(thing.dtype, thing.shape[1:], thing.offset))
