"""Stored values back from cast and scaled ones: exactly those that give every value again, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from coverage_audit.identity.scalings import AS_STORED, as_stored, restore

Array = np.ndarray[Any, Any]
F4 = np.float32
EVERY = np.arange(256, dtype=np.uint8).reshape(2, 128)

FORWARDS: dict[str, Callable[[Array], Array]] = {
    "x/255 in float64": lambda x: x / 255.0,
    "x/255 in float64, then float32": lambda x: (x / 255.0).astype(F4),
    "x/255 in float32": lambda x: x.astype(F4) / 255,
    "x*(1/255) in float32": lambda x: x.astype(F4) * F4(1 / 255),
    "x/255 in float16": lambda x: x.astype(np.float16) / np.float16(255),
    "x/255 in float32, then float64": lambda x: (x.astype(F4) / F4(255)).astype(np.float64),
    "x/127.5-1": lambda x: x.astype(F4) / 127.5 - 1,
    "(x-127.5)/127.5": lambda x: (x.astype(F4) - 127.5) / 127.5,
    "(x/255-0.5)/0.5, half in float64": lambda x: ((x / 255).astype(F4) - F4(0.5)) / F4(0.5),
    "x/255*2-1": lambda x: x.astype(F4) / 255 * 2 - 1,
    "x*(1/127.5)-1": lambda x: x.astype(F4) * F4(1 / 127.5) - 1,
    "x*(1/127.5)-1 fused": lambda x: (x * np.float64(F4(1 / 127.5)) - 1).astype(F4),
    "x/256": lambda x: x.astype(F4) / 256,
    "x/128-1": lambda x: x.astype(F4) / 128 - 1,
    "(x-128)/128": lambda x: (x.astype(F4) - 128) / 128,
    "(x-127.5)/128": lambda x: (x.astype(F4) - 127.5) / 128,
    "x/255-0.5": lambda x: x.astype(F4) / 255 - 0.5,
    "x-128": lambda x: x.astype(F4) - 128,
    "1-x/255": lambda x: 1 - x.astype(F4) / 255,
    "float32": lambda x: x.astype(F4),
    "int64": lambda x: x.astype(np.int64),
    "big-endian": lambda x: x.astype(">u2"),
}


@pytest.mark.parametrize("how", FORWARDS)
@pytest.mark.parametrize("stored", [np.uint8, np.int32, np.float32, np.float64])
def test_every_value_comes_back(how: str, stored: type) -> None:
    """Whole numbers of 0 to 255, whatever type they are stored in."""
    data: Array = EVERY.astype(stored)
    values = FORWARDS[how](data if how in ("float32", "int64", "big-endian") else EVERY)
    found = [name for name, back in restore(values, data.dtype) if back.dtype == data.dtype and (back == data).all()]
    assert len(found) == 1
    ((again, back),) = [(n, b) for n, b in restore(values, data.dtype, found[0]) if n == found[0]]
    assert (again, back.tolist()) == (found[0], data.tolist())


@pytest.mark.parametrize("given_type", [np.float32, np.float64])
def test_sounds(given_type: type) -> None:
    data = np.arange(-(2**15), 2**15, 17).astype(np.int16)
    for divisor in (32768, 32767):
        assert data.tolist() in [b.tolist() for _, b in restore(data.astype(given_type) / divisor, data.dtype)]


def test_bfloat16_is_a_float() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    for values in (EVERY.astype(ml_dtypes.bfloat16), (EVERY.astype(F4) / 255).astype(ml_dtypes.bfloat16)):
        assert EVERY.tolist() in [back.tolist() for _, back in restore(values, EVERY.dtype)]


def test_a_hint_comes_first() -> None:
    """All zeros may be many things."""
    values = np.zeros((2, 8), F4)
    names = [name for name, _ in restore(values, np.dtype(np.uint8))]
    assert names[0] == AS_STORED
    assert len(names) > 3
    for name in names:
        assert next(restore(values, np.dtype(np.uint8), name))[0] == name


@given(st.sampled_from(sorted(FORWARDS)), hnp.arrays(np.uint8, (3, 9)))
def test_values_beside_those_of_every_formula_do_not_come_back(how: str, data: Array) -> None:
    values = FORWARDS[how](data)
    if values.dtype in (np.float32, np.float64):
        values = values.copy()
        values[1, 1] += values.dtype.type(1e-5)
        assert list(restore(values, data.dtype)) == []


@given(hnp.arrays(st.sampled_from([np.float64, np.int64, np.uint64, np.float32, np.bool_, np.int8]), 5), st.data())
def test_the_same_value_in_another_type(values: Array, data: st.DataObject) -> None:
    stored = np.dtype(data.draw(st.sampled_from([np.uint8, np.int64, np.uint64, np.float32, np.float64, np.bool_])))
    back = as_stored(values, stored)
    if back is not None:
        assert back.dtype == stored
        if values.dtype != stored and not (np.isnan(values).any() if values.dtype.kind == "f" else False):
            assert [as_number(x) for x in back] == [as_number(x) for x in values]


def as_number(value: Any) -> Any:
    number = value.item()
    return (number, np.signbit(number)) if number == 0 else (number, None)


@pytest.mark.parametrize(
    ("values", "stored"),
    [
        (np.array([0.5], F4), np.uint8),
        (np.array([256.0], F4), np.uint8),
        (np.array([-1], np.int64), np.uint64),
        (np.array([2**63], np.uint64), np.int64),
        (np.array([-0.0], F4), np.int32),
        (np.array([np.nan, np.inf], F4), np.int32),
        (np.array([0.1], np.float64), np.float32),
        (np.array(["1"]), np.int32),
        (np.array([1 + 2j]), np.float32),
    ],
)
def test_what_does_not_fit_does_not_come_back(values: Array, stored: type) -> None:
    assert as_stored(values, np.dtype(stored)) is None


def test_nothing_comes_back_of_nothing() -> None:
    assert list(restore(np.array([], F4), np.dtype(np.uint8))) == []
