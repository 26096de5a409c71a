"""Rows in such numbers and shapes that their ids are not written out one by one: not known, and nobody is hurt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coverage_audit.identity.leads import AT_MOST
from coverage_audit.identity.origins import Key, Origin
from coverage_audit.identity.provenance import track_root
from coverage_audit.identity.reads import READS

ROWS = 2 * AT_MOST


@pytest.fixture
def tokens(tmp_path: Path) -> Iterator[Any]:
    """One token per row, as a memory map whose reads are told."""
    path = tmp_path / "train.bin"
    with open(path, "wb") as file:
        file.truncate(ROWS)
    READS.listeners += 1
    yield track_root(np.memmap(path, np.uint8, "r"), Origin(Key(str(path), "", ROWS, 0), ROWS, 0, False))
    READS.listeners -= 1


@pytest.mark.parametrize(
    "read",
    [
        lambda x: x.reshape(-1, 64, 64)[1:],
        lambda x: x.reshape(-1, 64, 64)[::-1, ::2],
        lambda x: x.reshape(-1, 64, 64)[..., 1:],
        lambda x: x[:].reshape(-1, 64, 64)[1:],
        lambda x: x.reshape(-1, 64, 64)[[0, 2]],
        lambda x: x.reshape(-1, 64, 64).max(axis=0),
        lambda x: np.split(x.reshape(-1, 64, 64), 2)[1],
    ],
)
def test_blocks_of_tokens(tokens: Any, read: Callable[[Any], Any]) -> None:
    assert np.array_equal(read(tokens), read(np.zeros(ROWS, np.uint8)))
