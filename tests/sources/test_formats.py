"""HDF5 files, zarr stores and flat files of numbers as datasets: rows, names, members, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from coverage_audit.errors import DatasetError
from coverage_audit.sources.dataset import Dataset
from coverage_audit.sources.raw import row_type

save: Any = zarr  # its types do not know numpy's arrays


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: two HDF5 files, two zarr stores and a flat file of 700 numbers."""
    monkeypatch.chdir(tmp_path)
    with h5py.File("a.h5", "w") as file:
        file["x"], file["y"], file["scale"] = np.zeros((5, 2)), np.zeros(5), 3.0
        file["group/z"] = np.zeros((7, 1))
    with h5py.File("uneven.hdf5", "w") as file:
        file["x"], file["y"] = np.zeros((5, 2)), np.zeros(4)
    save.save_group("a.zarr", x=np.zeros((5, 2)), y=np.zeros(5))
    save.create_array("b.zarr", data=np.zeros(4), zarr_format=2)
    np.arange(700, dtype=np.uint16).tofile("train.bin")
    return tmp_path


def facts(data: Dataset) -> list[tuple[str, int, str]]:
    return [(shard.name, shard.rows, member) for shard, member in zip(data.shards, data.members, strict=True)]


def refusal(*paths: str) -> str:
    with pytest.raises(DatasetError) as caught:
        Dataset.open(paths)
    return str(caught.value)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a.h5", [("a.h5", 5, "")]),
        ("a.h5::x", [("a.h5::x", 5, "x")]),
        ("a.h5::/group/z", [("a.h5::group/z", 7, "group/z")]),
        ("a.zarr", [("a.zarr", 5, "")]),
        ("a.zarr::y", [("a.zarr::y", 5, "y")]),
        ("a.zarr/y", [("y", 5, "")]),
        ("*.zarr", [("a.zarr", 5, ""), ("b.zarr", 4, "")]),
        ("*.h5::x", [("a.h5::x", 5, "x")]),
        ("train.bin::uint16", [("train.bin::uint16", 700, "uint16")]),
        ("train.bin::uint16+1024", [("train.bin::uint16+1024", 188, "uint16+1024")]),
        ("train.bin::(7,2)u1", [("train.bin::(7,2)u1", 100, "(7,2)u1")]),
    ],
)
def test_rows_names_and_members(folder: Path, path: str, expected: list[tuple[str, int, str]]) -> None:
    data = Dataset.open(path)

    assert facts(data) == expected
    data.save("data.json")
    assert Dataset.load("data.json") == data


def test_several_formats_together(folder: Path) -> None:
    data = Dataset.open(["train.bin::uint16", "a.h5::x", "b.zarr"])

    assert facts(data) == [("train.bin::uint16", 700, "uint16"), ("a.h5::x", 5, "x"), ("b.zarr", 4, "")]
    assert data.paths == (folder / "train.bin", folder / "a.h5", folder / "b.zarr")
    assert [shard.bytes for shard in data.shards] == [1400, (folder / "a.h5").stat().st_size, None]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            "train.bin",
            "/train.bin does not say what numbers it holds: name the type of one row, as in 'train.bin::uint16', and "
            "the bytes to skip at its start if there are any, 'train.bin::uint16+1024' [raw-needs-type]",
        ),
        ("train.bin::uint17", "[raw-needs-type]"),
        ("train.bin::O", "[raw-needs-type]"),
        ("train.bin::uint16+-2", "[raw-needs-type]"),
        (
            "train.bin::f8+3",
            "/train.bin has 1,400 bytes, which is no whole number of rows of 8 bytes after the first 3: name the type "
            "it has, as in 'train.bin::uint16', or write it again [damaged-file]",
        ),
        ("train.bin::u1+1401", "[damaged-file]"),
        ("a.h5::q", "/a.h5 has no member 'q': it has scale, x, y [no-member]"),
        ("a.h5::group", "/a.h5 has no member 'group': it has scale, x, y [no-member]"),
        ("a.h5::scale", "[no-rows-axis]"),
        (
            "uneven.hdf5",
            "/uneven.hdf5 have different lengths (x 5, y 4): name the one whose rows are trained, as in "
            "'{folder}/uneven.hdf5::x' [uneven-members]",
        ),
        ("a.zarr::q", "/a.zarr has no member 'q': it has x, y [no-member]"),
    ],
)
def test_refused(folder: Path, path: str, message: str) -> None:
    assert refusal(path).endswith(message.replace("{folder}", str(folder)))


def test_damaged_files(folder: Path) -> None:
    Path("cut.h5").write_bytes(Path("a.h5").read_bytes()[:1000])
    Path("empty.zarr").mkdir()
    Path("b.zarr/.zarray").write_text('{"shape": [4]}')

    assert refusal("cut.h5").endswith("write it again, or leave it out [damaged-file]")
    assert refusal("b.zarr") == (
        f"{folder}/b.zarr/.zarray is not zarr metadata (KeyError: 'dtype'): write the store again, or leave it out "
        "[damaged-file]"
    )


@pytest.mark.parametrize("name", ["deep.h5", "deep.zarr", "none.npz"])
def test_files_without_an_array_at_the_top(folder: Path, name: str) -> None:
    """Many HDF5 files keep their arrays in groups, such as train/x: such a file is no 0-d array."""
    with h5py.File("deep.h5", "w") as file:
        file["train/x"] = np.zeros((5, 2))
    save.open_group("deep.zarr", mode="w").create_group("train").create_array("x", data=np.zeros((5, 2)))
    np.savez("none.npz")

    assert refusal(name) == (
        f"{folder}/{name} has no array at its top level: name one that lies deeper, as in "
        f"'{folder}/{name}::group/x', or leave the file out [no-member]"
    )


def test_a_manifest_without_members_is_as_before(folder: Path) -> None:
    np.save("x.npy", np.zeros(3))
    Dataset.open("x.npy").save("data.json")

    assert "members" not in json.loads(Path("data.json").read_text())
    assert Dataset.load("data.json").members == ("",)


def test_the_memory_map_of_a_flat_file_is_that_file(folder: Path) -> None:
    """Exactly when it is everything from its offset to the end."""

    def of(**options: Any) -> tuple[Path | None, str]:
        data = Dataset.of(np.memmap("train.bin", mode="r", **options))
        return data.paths[0], data.members[0]

    assert of(dtype=np.uint16) == (folder / "train.bin", "uint16")
    assert of(dtype=np.uint16, offset=1024) == (folder / "train.bin", "uint16+1024")
    assert of(dtype=">u2", shape=(70, 5, 2)) == (folder / "train.bin", "(5,2,)>u2")
    assert of(dtype=np.uint16, shape=(600,)) == (None, "")
    assert of(dtype=np.uint16, shape=(70, 10), order="F") == (None, "")


@given(
    st.sampled_from(["u1", "<u2", ">u2", ">f8", "?", "S3", "<M8[s]"]),
    st.lists(st.integers(1, 4), max_size=3),
    st.integers(0, 2000),
)
def test_a_row_type_is_written_as_it_is_read(kind: str, shape: list[int], offset: int) -> None:
    text = f"{tuple(shape)}{kind}" if shape else kind
    first = row_type(f"{text}+{offset}", "x.bin")

    assert (first.row_shape, first.dtype, first.offset) == (tuple(shape), np.dtype(kind), offset)
    assert row_type(str(first), "x.bin") == first


def test_counting_zarr_needs_no_zarr_and_hdf5_says_what_it_needs(folder: Path) -> None:
    script = """
import sys
sys.modules["zarr"] = sys.modules["h5py"] = None
from coverage_audit.sources.dataset import Dataset
print(Dataset.open("*.zarr").rows)
try:
    Dataset.open("a.h5")
except Exception as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.splitlines() == [
        "9",
        f"{folder}/a.h5 needs h5py, which is not installed: pip install 'coverage-audit[hdf5]' [missing-extra]",
    ]
