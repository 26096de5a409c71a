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


class Family(NamedTuple):
    """One formula; stored values are the whole number nearest to ``value * factor + shift``."""

    name: str
    factor: float
    shift: float
    chains: tuple[Chain, ...]


class Table(NamedTuple):
    """What a way of computing makes of the stored values ``low``, ``low + 1``, …; as a wide float."""

    name: str
    low: int
    values: Array


@lru_cache(maxsize=64)
def families(dtype: np.dtype[Any], given: np.dtype[Any]) -> tuple[tuple[Family, tuple[Table, ...]], ...]:
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
    return tuple((family, _tables(family, low, high, given)) for family, low, high in out)


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


def _tables(family: Family, low: int, high: int, given: np.dtype[Any]) -> tuple[Table, ...]:
    stored = np.arange(low, high + 1)
    made: dict[bytes, Table] = {}
    with np.errstate(all="ignore"):
        for chain in family.chains:
            for name, values in _ways(chain, stored, given):
                wide = wide_of(values.astype(given))
                if len(np.unique(wide)) == len(wide):
                    made.setdefault(wide.tobytes(), Table(f"{family.name} {name}", low, wide))
    return tuple(made.values())


def _ways(chain: Chain, stored: Array, given: np.dtype[Any]) -> Iterator[tuple[str, Array]]:
    """A chain computed in each order of float types that never goes back to a wider one, then fused."""
    types: list[np.dtype[Any]] = [np.dtype(np.float32), np.dtype(np.float64)]
    if given not in types:
        types.append(given)
    types.sort(key=lambda t: -t.itemsize)
    for used in itertools.combinations_with_replacement(types, len(chain)):
        values = stored
        for (operation, number), dtype in zip(chain, used, strict=True):
            values = _apply(operation, values.astype(dtype), dtype.type(number))
        yield f"{_said(chain)} in {'/'.join(dict.fromkeys(t.name for t in used))}", values
    if [operation for operation, _ in chain] == ["mul", "add"]:
        (_, factor), (_, shift) = chain
        exact = stored.astype(np.float64) * float(np.float32(factor)) + float(np.float32(shift))
        yield f"{_said(chain)} fused", exact.astype(np.float32)


def _apply(operation: str, values: Array, number: Any) -> Array:
    if operation == "add":
        return np.asarray(values + number)
    if operation == "mul":
        return np.asarray(values * number)
    return np.asarray(values / number)


def _said(chain: Chain) -> str:
    return ", ".join(f"{operation} {number:g}" for operation, number in chain)


def is_float(dtype: np.dtype[Any]) -> bool:
    """Whether values of this type have a fraction; bfloat16 is no type of numpy's own."""
    return dtype.kind == "f" or dtype.name == "bfloat16"


def wide_of(values: Array) -> Array:
    """The same values as float32 or float64."""
    return values.astype(np.float64 if values.dtype.itemsize > 4 else np.float32)
