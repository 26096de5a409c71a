"""Records taken out of arrays of records are views: what is written through them is seen by nobody."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from coverage_audit.identity.provenance import shadow_of, track
from coverage_audit.identity.shadows import Span, ids_of

RECORD = np.dtype([("label", "i8"), ("image", "f4", (3,))])


def records(n: int = 4) -> npt.NDArray[Any]:
    return track(np.zeros(n, RECORD), Span(0, 1, n))


def known(array: npt.NDArray[Any]) -> list[int]:
    shadow = shadow_of(array)
    assert shadow is not None
    return [int(row) for row in ids_of(shadow)]


def test_a_row_written_through_its_record_is_unknown() -> None:
    x = records()
    record = x[2]
    record["label"] = 7
    assert x["label"].tolist() == [0, 0, 7, 0]
    assert known(x) == [0, 1, -1, 3]


def test_so_is_one_written_through_a_field_of_its_record_in_a_slice() -> None:
    x = records()
    x[1:][-1]["image"][:] = 1
    assert known(x) == [0, 1, 2, -1]


def test_records_that_cannot_be_written_to_leave_their_rows_known() -> None:
    x = records()
    x.flags.writeable = False
    assert x[2]["label"] == 0
    assert known(x) == [0, 1, 2, 3]


def test_a_row_that_is_written_as_a_whole_again_is_known_again() -> None:
    x = records()
    x[2]["label"] = 7
    x[2:3] = x[0:1]
    assert known(x) == [0, 1, 0, 3]
