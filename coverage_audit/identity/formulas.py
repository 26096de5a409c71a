"""The formulas by which loaders scale stored whole numbers (x/255, x/127.5 - 1, ...), in all ways of computing them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Chain = tuple[tuple[str, float], ...]
"""Operations one after the other: (add, mul or div; a number)."""

_F4: np.dtype[Any] = np.dtype(np.float32)
_F8: np.dtype[Any] = np.dtype(np.float64)


class Family(NamedTuple):
    """One formula; stored values are the whole number nearest to ``value * factor + shift``."""

    name: str
    factor: float
    shift: float
    chains: tuple[Chain, ...]


class Way(NamedTuple):
    """One way to compute a formula: ``steps`` of (operation, in which float type, number), then cast to ``given``.

    For stored values ``low`` to ``high``.
    """

    name: str
    low: int
    high: int
    steps: tuple[tuple[str, np.dtype[Any], float], ...]
    given: np.dtype[Any]

    def forward(self, stored: Array) -> Array:
        """What it makes of stored values, as a wide float."""
        values = stored
        for operation, dtype, number in self.steps:
            values = _apply(operation, values.astype(dtype, copy=False), dtype.type(number))
        return wide_of(values.astype(self.given, copy=False))


@lru_cache(maxsize=64)
def families(dtype: np.dtype[Any], given: np.dtype[Any]) -> tuple[tuple[Family, tuple[Way, ...]], ...]:
    """The formulas tried for stored ``dtype`` and floats of type ``given``, each with its ways of computing.

    Ways that make the same values are one; ways that make one value of two stored ones have no way back and are left
    out.
    """
    info = np.iinfo(dtype) if dtype.kind in "iu" and dtype.itemsize <= 2 else None
    out = []
    if info is not None and info.max != 255:
        out += [(f, int(info.min), int(info.max)) for f in _formulas_of(int(info.min), int(info.max))]
    if dtype.kind != "b" and not (info is not None and info.max == 127):
        out += [(f, 0, 255) for f in _formulas_of(0, 255)]
    return tuple((family, _ways(family, low, high, given)) for family, low, high in out)


def _formulas_of(low: int, high: int) -> tuple[Family, ...]:
    top, count = float(high), float(high + 1)
    half, middle = top / 2, count / 2
    to_one = _scaled(top)
    if low < 0:
        return (
            Family(f"x/{high + 1}", count, 0.0, _scaled(count)),
            Family(f"x/{high}", top, 0.0, to_one),
        )
    around = (
        (("div", half), ("add", -1.0)),
        (("add", -half), ("div", half)),
        (("add", -half), ("mul", 1 / half)),
        (("mul", 1 / half), ("add", -1.0)),
        (("mul", 2 / top), ("add", -1.0)),
        (("mul", 2.0), ("div", top), ("add", -1.0)),
        *(
            (*first, *then)
            for first in to_one
            for then in (
                (("add", -0.5), ("div", 0.5)),
                (("add", -0.5), ("mul", 2.0)),
                (("mul", 2.0), ("add", -1.0)),
            )
        ),
    )
    inverted = ((("mul", -1.0), ("add", 1.0)),)
    return (
        Family(f"x/{high}", top, 0.0, to_one),
        Family(f"x/{half:g}-1", half, half, around),
        Family(f"x/{high + 1}", count, 0.0, _scaled(count)),
        Family(f"x/{middle:g}-1", middle, middle, ((("div", middle), ("add", -1.0)),)),
        Family(f"x/{high}-0.5", top, half, tuple((*first, ("add", -0.5)) for first in to_one)),
        Family(f"x/{high + 1}-0.5", count, middle, ((("div", count), ("add", -0.5)),)),
        Family(f"(x-{half:g})/{middle:g}", middle, half, ((("add", -half), ("div", middle)),)),
        Family(f"x-{middle:g}", 1.0, middle, ((("add", -middle),),)),
        Family(f"x-{half:g}", 1.0, half, ((("add", -half),),)),
        Family(
            f"1-x/{high}",
            -top,
            top,
            (
                *((*first, *then) for first in to_one for then in inverted),
                *((("mul", -1.0), ("add", top), *then) for then in to_one),
            ),
        ),
    )


def _scaled(number: float) -> tuple[Chain, ...]:
    return ((("div", number),), (("mul", 1 / number),))


def _ways(family: Family, low: int, high: int, given: np.dtype[Any]) -> tuple[Way, ...]:
    stored = np.arange(low, high + 1)
    made: dict[bytes, Way] = {}
    for chain in family.chains:
        for name, steps in _ways_of(chain, given):
            way = Way(f"{family.name} {name}", low, high, steps, given)
            with np.errstate(all="ignore"):
                values = way.forward(stored)
            if np.all(values[1:] != values[:-1]):  # all formulas rise or fall
                made.setdefault(values.tobytes(), way)
    return tuple(made.values())


def _ways_of(chain: Chain, given: np.dtype[Any]) -> Iterator[tuple[str, tuple[tuple[str, np.dtype[Any], float], ...]]]:
    """A chain in each order of float types that never goes back to a wider one (the fastest first), then fused."""
    said = ", ".join(f"{operation} {number:g}" for operation, number in chain)
    types: list[np.dtype[Any]] = [_F8, _F4] if given in (_F4, _F8) else [_F8, _F4, given]
    orders = itertools.combinations_with_replacement(types, len(chain))
    for used in sorted(orders, key=lambda order: sum(abs(dtype.itemsize - 4) for dtype in order)):
        steps = tuple((operation, dtype, number) for (operation, number), dtype in zip(chain, used, strict=True))
        yield f"{said} in {'/'.join(dict.fromkeys(dtype.name for dtype in used))}", steps
    if [operation for operation, _ in chain] == ["mul", "add"]:
        exact = tuple((operation, _F8, float(np.float32(number))) for operation, number in chain)
        yield f"{said} fused", (*exact, ("add", _F4, 0.0))


def _apply(operation: str, values: Array, number: Any) -> Array:
    if operation == "add":
        return np.asarray(values + number)
    if operation == "mul":
        return np.asarray(values * number)
    return np.asarray(values / number)


def is_float(dtype: np.dtype[Any]) -> bool:
    """Whether values of this type have a fraction; bfloat16 is no type of numpy's own."""
    return dtype.kind == "f" or dtype.name == "bfloat16"


def wide_of(values: Array) -> Array:
    """The same values as float32 or float64."""
    return values.astype(np.float64 if values.dtype.itemsize > 4 else np.float32, copy=False)
