"""Archives: one length is one shard; a member can be named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from coverage_audit.errors import DatasetError
from coverage_audit.sources.dataset import Dataset


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    np.savez_compressed(tmp_path / "even.npz", x=np.zeros((7, 3)), y=np.zeros(7, int), classes=10)
    np.savez(tmp_path / "uneven.npz", x=np.zeros(7), y=np.zeros(6))
    np.savez(tmp_path / "scalars.npz", a=1)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_members_of_one_length_are_one_shard(folder: Path) -> None:
    assert [(s.name, s.rows) for s in Dataset.open("even.npz").shards] == [("even.npz", 7)]


def test_a_member_can_be_named(folder: Path) -> None:
    data = Dataset.open(["uneven.npz::y", "uneven.npz::x"])

    assert [(s.name, s.rows) for s in data.shards] == [("uneven.npz::y", 6), ("uneven.npz::x", 7)]
    assert data.paths == (folder / "uneven.npz", folder / "uneven.npz")


def test_a_member_of_every_archive_of_a_pattern(folder: Path) -> None:
    data = Dataset.open("*even.npz::x")

    assert [(s.name, s.rows) for s in data.shards] == [("even.npz::x", 7), ("uneven.npz::x", 7)]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            "uneven.npz",
            "the members of {}/uneven.npz have different lengths (x 7, y 6): name the one whose rows are trained, as "
            "in '{}/uneven.npz::x' [uneven-members]",
        ),
        ("even.npz::z", "{}/even.npz has no member 'z': it has x, y, classes [no-member]"),
        (
            "scalars.npz",
            "{}/scalars.npz is a 0-d array, which has no rows: leave it out of the data, or give it one axis "
            "[no-rows-axis]",
        ),
        (
            "even.npz::classes",
            "{}/even.npz::classes is a 0-d array, which has no rows: leave it out of the data, or give it one axis "
            "[no-rows-axis]",
        ),
    ],
)
def test_refused(folder: Path, path: str, message: str) -> None:
    with pytest.raises(DatasetError) as caught:
        Dataset.open(path)

    assert str(caught.value) == message.replace("{}", str(folder))


@pytest.mark.parametrize("length", [0, 30, 200, 400])
def test_an_archive_cut_short(folder: Path, length: int) -> None:
    (folder / "cut.npz").write_bytes((folder / "even.npz").read_bytes()[:length])

    with pytest.raises(DatasetError, match=r"is not a whole .npz archive .*\[damaged-file\]"):
        Dataset.open("cut.npz")
