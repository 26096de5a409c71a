"""Which filler each array of a tracer dataset gets."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from coverage_audit.errors import DatasetError
from coverage_audit.identity.tracer_codes import Code
from coverage_audit.identity.tracer_fill import (
    Classes,
    Fields,
    Filler,
    Rows,
    Stream,
    Zeros,
    number_shape,
    number_type,
    row_size,
)
from coverage_audit.identity.tracer_plan import CEILINGS, largest_value, plan_rows, plan_stream, size_needed
from coverage_audit.sources.tracer_files import Stored

Blocks = Callable[[], Iterable[npt.NDArray[Any]]]


@dataclass
class Design:
    """The codes of one dataset: of ``ids`` rows, with whole numbers below ``below`` where that is given.

    ``codes`` grows as arrays get theirs: (code, type of the stored numbers).
    """

    ids: int
    seed: int
    below: int | None = None
    codes: dict[tuple[Code, str], None] = field(default_factory=dict)

    def main(self, name: str, stored: Stored, first: int) -> Filler:
        """For the array that rows are read from; its row 0 has the id ``first``.

        Raises :class:`DatasetError`: tracer-type, tracer-too-small.
        """
        shape = stored.shape[1:]
        if stored.dtype.names is not None:
            sizes = {key: int(np.prod(kind.shape, dtype=int)) for key, kind in _number_fields(stored.dtype).items()}
            if not sizes:
                raise _no_numbers(name, stored.dtype)
            largest = max(sizes, key=lambda key: sizes[key])
            kind = stored.dtype[largest]
            inner = self.main(f"{name}[{largest!r}]", Stored((*stored.shape, *kind.shape), kind.base), first)
            return Fields(((largest, inner),), shape, stored.dtype)
        top = self._top(stored.dtype)
        if top is None:
            raise _no_numbers(name, stored.dtype)
        kind = number_type(stored.dtype)
        numbers = number_shape(shape, stored.dtype)
        # A value that has room for an id and its check tells its row wherever it goes; values of a vocabulary do not.
        alone = shape or self.below is None
        code = plan_rows(self.ids, numbers, 0, top, self.seed) if alone else None
        if code is not None:
            self._keep(code, kind)
            return Rows(code, first, shape, stored.dtype)
        stream = None if shape or stored.dtype.kind == "c" else plan_stream(self.ids, top, self.seed)
        if stream is None:
            raise _too_small(name, stored, numbers, size_needed(self.ids, top), self.below)
        self._keep(stream, kind)
        return Stream(stream, first, stored.dtype)

    def companion(self, stored: Stored, first: int, blocks: Blocks) -> Filler:
        """For an array beside the main one (labels, masks, weights).

        Whole numbers stay in the range they have in the original, which is read for that, so that a loss or a
        ``to_categorical`` finds nothing strange. They tell their rows where that leaves room for a code.
        """
        shape, kind = stored.shape[1:], stored.dtype.kind
        if kind in "biu":
            extent = _extent(blocks())
            if extent is None:
                return Zeros(shape, stored.dtype)
            low, high = extent
        elif kind == "f":
            low, high = 0, CEILINGS[0]
        else:
            return Zeros(shape, stored.dtype)
        code = plan_rows(self.ids, shape, max(low, 0), min(high, CEILINGS[0]), self.seed) if shape else None
        if code is None:
            return Classes(low, high - low + 1, first, shape, stored.dtype)
        self._keep(code, stored.dtype)
        return Rows(code, first, shape, stored.dtype)

    def _top(self, dtype: np.dtype[Any]) -> int | None:
        top = largest_value(number_type(dtype))
        return top if top is None or self.below is None or dtype.kind not in "iu" else min(top, self.below - 1)

    def _keep(self, code: Code, dtype: np.dtype[Any]) -> None:
        self.codes[code, dtype.str] = None


def pick_main(arrays: dict[str, Stored]) -> str:
    """Of the arrays of one shard, the one whose rows have the most values: pixels rather than labels."""
    numeric = {name: a for name, a in arrays.items() if largest_value(number_type(a.dtype)) is not None}
    candidates = numeric or arrays
    return max(candidates, key=lambda name: row_size(candidates[name].shape))


def _number_fields(dtype: np.dtype[Any]) -> dict[str, np.dtype[Any]]:
    fields = {name: dtype[name] for name in dtype.names or ()}
    return {name: kind for name, kind in fields.items() if largest_value(number_type(kind.base)) is not None}


def _extent(blocks: Iterable[npt.NDArray[Any]]) -> tuple[int, int] | None:
    """(smallest, largest) value; None without any."""
    extents = [(int(b.min()), int(b.max())) for b in blocks if b.size]
    return (min(low for low, _ in extents), max(high for _, high in extents)) if extents else None


def _no_numbers(name: str, dtype: np.dtype[Any]) -> DatasetError:
    return DatasetError(
        f"{name} is of type {dtype}, which holds no numbers to write row ids with: leave it out of PATHS, or name it "
        "in aligned=",
        slug="tracer-type",
    )


def _too_small(name: str, stored: Stored, shape: tuple[int, ...], needed: int, below: int | None) -> DatasetError:
    size = int(np.prod(shape, dtype=int))
    limit = "" if below is None or stored.dtype.kind not in "iu" else f" below {below:,}"
    return DatasetError(
        f"a row of {name} holds {size:,} value{'' if size == 1 else 's'} of {stored.dtype.name}{limit}, and a row id "
        f"with its check takes {needed:,} of them: if these are labels, name the features in PATHS and this in "
        "aligned=",
        slug="tracer-too-small",
    )
