"""Rows that training and validation share: named where the data is the same, never where it only looks the same."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

import coverage_audit as ca
from coverage_audit.model.finding import Finding


def folder_of(folder: Path, *rows: int) -> Path:
    folder.mkdir()
    for index, n in enumerate(rows):
        np.save(folder / f"x_{index}.npy", np.zeros((n, 2), np.float32))
    return folder


def record(log: Path, name: str, data: ca.Dataset, rows: Iterable[int]) -> ca.Recorder:
    recorder = ca.Recorder(log, data, split=name)
    with recorder.epoch():
        recorder.step(list(rows))
    return recorder


def leaks(
    log: Path, train: ca.Dataset, seen: Iterable[int], held: ca.Dataset, evaluated: Iterable[int]
) -> list[Finding]:
    ours, theirs = record(log, "train", train, seen), record(log, "validation", held, evaluated)
    ours.close()
    theirs.close()
    return [f for f in ca.audit(log).findings if f.code == "CA701"]


def test_one_folder_read_by_both(tmp_path: Path) -> None:
    """GIVEN two splits opened from one folder, one of them by a link WHEN both visit rows 3 to 5 THEN these leak."""
    data = folder_of(tmp_path / "data", 4, 6)
    (tmp_path / "link").symlink_to(data)
    train, held = ca.Dataset.open(data), ca.Dataset.open(tmp_path / "link")
    (found,) = leaks(tmp_path / "run.parquet", train, range(6), held, range(3, 10))
    assert (found.split, found.ranges) == ("validation", (("x_0.npy", 3, 4), ("x_1.npy", 0, 2)))
    assert found.message == "3 rows of 7 seen in validation were visited in train too"


def test_some_files_of_one_folder(tmp_path: Path) -> None:
    data = folder_of(tmp_path / "data", 4, 6, 5)
    train, held = (
        ca.Dataset.open([data / "x_0.npy", data / "x_1.npy"]),
        ca.Dataset.open([data / "x_1.npy", data / "x_2.npy"]),
    )
    (found,) = leaks(tmp_path / "run.parquet", train, range(10), held, range(11))
    assert found.ranges == (("x_1.npy", 0, 6),)


def test_folders_that_look_the_same(tmp_path: Path) -> None:
    """GIVEN two folders of equally named files of equal sizes WHEN each is read THEN nothing is said to leak."""
    train, held = ca.Dataset.open(folder_of(tmp_path / "a", 4, 6)), ca.Dataset.open(folder_of(tmp_path / "b", 4, 6))
    assert train.fingerprint == held.fingerprint
    assert leaks(tmp_path / "run.parquet", train, range(10), held, range(10)) == []


def test_parts_of_one_dataset(tmp_path: Path) -> None:
    data = ca.Dataset.of(10)
    (found,) = leaks(tmp_path / "run.parquet", data.select(range(8)), range(8), data.select(range(6, 10)), range(6, 10))
    assert found.ranges == (("data", 6, 8),)
    assert leaks(tmp_path / "apart.parquet", data.select(range(8)), range(8), data.select([8, 9]), [8, 9]) == []


def test_arrays_of_one_length(tmp_path: Path) -> None:
    """GIVEN two arrays that nobody named WHEN both are read THEN nothing says that they are one."""
    train, held = ca.Dataset.of(np.zeros((10, 2))), ca.Dataset.of(np.ones((10, 2)))
    assert leaks(tmp_path / "run.parquet", train, range(10), held, range(10)) == []
