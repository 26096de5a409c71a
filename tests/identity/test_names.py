"""Ids that are names of samples: looked up in the declared .tar files, or unknown with a reason."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coverage_audit.identity.batches import Identified, Unknown
from coverage_audit.identity.explicit import Explicit
from coverage_audit.identity.names import Names
from coverage_audit.sources.dataset import Dataset

X = np.zeros((2, 3))


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """Two shards: s-0.tar with a and b, s-1.tar with a and c."""
    monkeypatch.chdir(tmp_path)
    for name, keys in (("s-0.tar", "ab"), ("s-1.tar", "ac")):
        with tarfile.open(name, "w") as archive:
            for key in keys:
                archive.addfile(tarfile.TarInfo(f"{key}.x"), io.BytesIO())
    return Dataset.open("s-*.tar")


@pytest.mark.parametrize(
    ("names", "rows"),
    [
        (["b", "c"], [1, 3]),
        (np.array(["c", "b"]), [3, 1]),
        ([("s-1.tar", "a"), ("./s-0.tar", "a")], [2, 0]),
        ([["s-0.tar", "b"], ["s-1.tar", "c"]], [1, 3]),
    ],
)
def test_names_are_rows(data: Dataset, names: Any, rows: list[int]) -> None:
    handed_on, answer = Explicit(1, Names(data)).identify((X, names))

    assert isinstance(answer, np.ndarray)
    assert (answer.tolist(), handed_on[0] is X, len(handed_on)) == (rows, True, 1)


def test_a_name_that_the_data_does_not_have_is_outside_of_it_and_said_once(data: Dataset) -> None:
    way = Explicit(1, Names(data))
    answers = [way.identify((X, [("s-1.tar", "c"), ("s-1.tar", "b")]))[1] for _ in range(2)]

    assert isinstance(answers[0], Identified)
    assert [np.asarray(a.rows if isinstance(a, Identified) else a).tolist() for a in answers] == [[3, -1], [3, -1]]
    (notice,) = answers[0].notices
    assert notice.warning.startswith("the declared data has no sample ('s-1.tar', 'b'): it counts as a row outside")
    assert isinstance(answers[1], np.ndarray)


@pytest.mark.parametrize(
    ("names", "unknown"),
    [
        (["a", "b"], Unknown(2, "several samples of the data have one name", "such as 'a'")),
        (["b"], Unknown(2, "the number of ids is not the number of rows", "1 ids, 2 rows")),
        (
            np.full((2, 3), "a"),
            Unknown(2, "the ids are neither keys nor (url, key) pairs", "their shape is (2, 3)"),
        ),
    ],
)
def test_what_names_no_row_is_unknown(data: Dataset, names: Any, unknown: Unknown) -> None:
    assert Explicit(1, Names(data)).identify((X, names))[1] == unknown


def test_data_without_names_and_files_that_are_gone(data: Dataset, tmp_path: Path) -> None:
    data.save("data.json")
    (tmp_path / "s-1.tar").unlink()
    without = Explicit(1, Names(Dataset.of(4))).identify((X, ["b", "c"]))[1]
    gone = Explicit(1, Names(Dataset.load("data.json"))).identify((X, ["b", "c"]))[1]

    assert without == Unknown(2, "the ids are names, and the declared data has none: open its .tar files")
    assert isinstance(gone, Unknown)
    assert (gone.length, gone.reason) == (2, "the keys of the data cannot be read")


def test_one_example_has_one_id(data: Dataset) -> None:
    """GIVEN examples one by one WHEN their id is a single number, key or pair THEN they are one row."""
    answers = [
        Explicit("id", Names(data)).identify_example({"id": given, "tokens": [1, 2, 3]})[1]
        for given in (3, np.int64(0), "c", ("s-1.tar", "a"))
    ]

    assert [np.asarray(answer).tolist() for answer in answers] == [[3], [0], [3], [2]]
