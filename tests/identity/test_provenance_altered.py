"""Whether the entries of an array are, element by element, the rows of the file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from rows_by_element import origin_of

from coverage_audit.identity.provenance import altered, shadow_of, track
from coverage_audit.identity.shadows import Span


def images(dtype: Any = np.uint8) -> Any:
    base = origin_of(10).base
    return track(np.arange(60).reshape(10, 3, 2).astype(dtype), Span(base, 1, 10))


AS_THEY_ARE: dict[str, Callable[[Any], Any]] = {
    "a slice": lambda x: x[2:5],
    "rows": lambda x: x[[3, 1]],
    "flat rows": lambda x: x[[3, 1]].reshape(2, -1),
    "rows with an axis more": lambda x: x[2:5, ..., None],
    "wider numbers": lambda x: x[2:5].astype(np.float32),
    "joined": lambda x: np.concatenate([x[:2], x[5:6].astype(np.int64)]),
    "stacked": lambda x: np.stack([x[1], x[2]]),
    "put in a wider one": lambda x: filled(np.empty_like(x, dtype=np.float64), x),
    "rearranged": lambda x: np.roll(x, 3, axis=0)[::-1],
    "in Fortran order": lambda x: x.copy("F")[2:5],
    "shuffled": lambda x: filled(x, x[np.arange(9, -1, -1)]),
    "one row for all": lambda x: np.broadcast_to(x[3], (4, 3, 2)),
    "there and back": lambda x: x.transpose(0, 2, 1)[2:5].transpose(0, 2, 1),
}

ALTERED: dict[str, Callable[[Any], Any]] = {
    "arithmetic": lambda x: x[2:5] * 1,
    "narrower numbers": lambda x: x[2:5].astype(np.float64).astype(np.uint8),
    "64-bit integers as floats": lambda x: x.astype(np.int64).astype(np.float64),
    "numbers as text": lambda x: x.astype(str),
    "other elements": lambda x: x[..., 0],
    "another order": lambda x: x.transpose(0, 2, 1),
    "backwards within rows": lambda x: x[:, ::-1],
    "repeated within rows": lambda x: np.repeat(x, 2, axis=1),
    "bytes of something else": lambda x: x.astype(np.int16).view(np.uint8),
    "written to in part": lambda x: filled(x, 0, key=(2, 0)),
    "written to by arithmetic": lambda x: x.__iadd__(1),
    "put in a narrower one": lambda x: filled(np.empty_like(x, dtype=np.int8), x),
    "put in across": lambda x: filled(np.empty_like(x[:, 0]), x[:, :2, 0]),
    "joined within rows": lambda x: np.concatenate([x, x], axis=1),
}


def filled(out: Any, values: Any, key: Any = Ellipsis) -> Any:
    out[key] = values
    return out


@pytest.mark.parametrize("name", AS_THEY_ARE)
def test_rows_as_they_are(name: str) -> None:
    made = AS_THEY_ARE[name](images())
    assert shadow_of(made) is not None
    assert not altered(made)


@pytest.mark.parametrize("name", ALTERED)
def test_rows_altered(name: str) -> None:
    made = ALTERED[name](images())
    assert shadow_of(made) is not None
    assert altered(made)


def test_what_is_not_tracked_may_be_anything() -> None:
    assert altered(np.arange(3))
    assert altered("text")
