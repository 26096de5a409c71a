"""What is refused of the declared data before the script starts, and what is left to numpy."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from launching import under_us

from coverage_audit.errors import UsageError
from coverage_audit.launch.inspection import STORES, SUFFIXES, inspect_data, read_plain_header
from coverage_audit.launch.options import Options
from coverage_audit.sources import files, zarr_store
from coverage_audit.sources.npy import read_header

Inspect = Callable[..., str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i, rows in enumerate((5, 6)):
        np.save(tmp_path / f"x_{i}.npy", np.zeros((rows, 3)))
        np.save(tmp_path / f"y_{i}.npy", np.zeros(rows, np.int64))
        np.save(tmp_path / f"w_{i}.npy", np.zeros(rows + i))
    np.arange(9, dtype=np.uint16).tofile(tmp_path / "train.bin")
    np.savez(tmp_path / "all.npz", x=np.zeros((5, 3)), y=np.zeros(5))
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "sub").mkdir()
    return tmp_path


@pytest.fixture
def inspect(folder: Path) -> Inspect:
    def refusal(
        data: str = "", aligned: str = "", validation_data: str = "", identify: str = "auto", folder: Path = folder
    ) -> str:
        """What is said, "" if nothing is; the options are words that are split at blanks."""
        given = [
            tuple(word if "://" in word else str(folder / word) for word in words.split())
            for words in (data, aligned, validation_data)
        ]
        options = Options(
            str(folder), "log", "train.py", data=given[0], aligned=given[1], validation_data=given[2], identify=identify
        )
        try:
            inspect_data(options)
        except UsageError as error:
            return str(error)
        return ""

    return refusal


@pytest.mark.parametrize(
    "words",
    [
        {},
        {"data": "x_*.npy"},
        {"data": "x_*.npy", "aligned": "y_*.npy"},
        {"data": "x_*.npy", "aligned": "y_0.npy y_1.npy"},
        {"data": "x_0.npy x_1.npy", "aligned": "y_*.npy"},
        {"data": "x_*.npy y_*.npy"},
        {"data": "all.npz"},
        {"data": "all.npz::x"},
        {"data": "train.bin::uint16"},
        {"data": "notes.txt::u1"},
        {"data": "x_*.npy", "validation_data": "w_*.npy"},
        {"data": "s3://bucket/*.npy", "aligned": "y_*.npy"},
        {"data": "s3://bucket/*.npy", "identify": "tracer"},
        {"identify": "tracer"},
    ],
)
def test_what_may_be_meant(inspect: Inspect, words: dict[str, str]) -> None:
    assert inspect(**words) == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            {"data": "[xy]_*.npy"},
            "--data '[xy]_*.npy' mixes files that describe the same rows: count one of them, --data 'x_*.npy' "
            "--aligned 'y_*.npy'; if each holds rows of its own, name both: --data 'x_*.npy' --data 'y_*.npy' "
            "[mixed-files]",
        ),
        (
            {"validation_data": "[xy]_*.npy"},
            "--validation-data '[xy]_*.npy' mixes files that describe the same rows: count one of them, "
            "--validation-data 'x_*.npy'; if each holds rows of its own, name both: --validation-data 'x_*.npy' "
            "--validation-data 'y_*.npy' [mixed-files]",
        ),
        (
            {"data": "train.bin"},
            "--data 'train.bin' does not say what numbers it holds: name that of one row, as in --data "
            "train.bin::uint16 [raw-needs-type]",
        ),
        (
            {"data": "*.bin::TYPE"},
            "--data '*.bin::TYPE' has a place for a type: name that of one row, as in --data '*.bin::uint16' "
            "[raw-needs-type]",
        ),
        (
            {"data": "notes.txt"},
            "--data 'notes.txt' is of a format that cannot be read: .npy, .npz, .h5, .hdf5, .zarr, .parquet, "
            ".arrow, .tar, .tar.gz, .tgz can, and flat files "
            "of numbers if their type is named, as in 'notes.txt::uint16'; name those [unsupported-format]",
        ),
        (
            {"data": "[nx]*"},
            "--data '[nx]*' names notes.txt, which cannot be read: .npy, .npz, .h5, .hdf5, .zarr, .parquet, "
            ".arrow, .tar, .tar.gz, .tgz can, and flat files "
            "of numbers if their type is named, as in 'notes.txt::uint16'; name those [unsupported-format]",
        ),
        ({"data": "x_0.npy::x"}, "--data 'x_0.npy::x' is one array: leave out what follows '::' [no-member]"),
        (
            {"data": "sub"},
            "--data 'sub' is a folder without .npy, .npz, .h5, .hdf5, .zarr, .parquet, "
            ".arrow, .tar, .tar.gz or .tgz files: for files further down give a "
            "pattern such as 'sub/**/*.npy' [no-files]",
        ),
        ({"data": "s*"}, "--data 's*' matches folders only: give a pattern of files [no-files]"),
        (
            {"data": "x_0.npy x_*.npy"},
            "--data 'x_*.npy' names x_0.npy once more: name each file once [same-shard-twice]",
        ),
        (
            {"aligned": "y_*.npy"},
            "--aligned 'y_*.npy' names partners of --data, which is not given: give it too [unaligned-files]",
        ),
        (
            {"data": "x_*.npy", "aligned": "y_1.npy"},
            "--aligned 'y_1.npy' names 1 file for the 2 of --data: aligned files come one for each [unaligned-files]",
        ),
        (
            {"data": "x_*.npy", "aligned": "y_*.npy w_*.npy"},
            "--aligned 'w_*.npy' has 12 rows (5, 7), --data has 11 (5, 6): aligned files hold the same rows, file by "
            "file [unaligned-files]",
        ),
        (
            {"data": "x_*.npy", "identify": "tracer"},
            "--data 'x_*.npy' is no tracer dataset, which --identify tracer needs: coverage-audit tracer 'x_*.npy' -o "
            "DIR makes one, for --data and the script to read [no-tracer]",
        ),
    ],
)
def test_what_cannot_be_meant(inspect: Inspect, words: dict[str, str], message: str) -> None:
    assert inspect(**words) == message


def test_a_damaged_header_is_left_to_numpy(folder: Path, inspect: Inspect) -> None:
    """As is everything else that names alone do not say."""
    (folder / "y_0.npy").write_bytes(b"damaged")

    assert inspect("[xy]_*.npy") == ""
    assert inspect("x_*.npy", "y_*.npy") == ""


def test_a_tracer_is_one(folder: Path, inspect: Inspect) -> None:
    make = [sys.executable, "-m", "coverage_audit", "tracer", "x_*.npy", "-o", "stand-in"]
    subprocess.run(make, cwd=folder, check=True, capture_output=True)

    assert inspect("stand-in/x_*.npy", identify="tracer") == ""


def test_the_script_does_not_start(folder: Path) -> None:
    """Neither is numpy imported for it: what the script imports first is the script's to choose."""
    (folder / "train.py").write_text("import sys; print('numpy' in sys.modules)")

    refused = under_us(folder, "train.py", options=("--data", "[xy]_*.npy"))
    ran = under_us(folder, "train.py", options=("--data", "x_*.npy", "--aligned", "y_*.npy"))

    assert (refused.status, refused.out, refused.said[0][:27]) == (1, "", "error: --data '[xy]_*.npy' ")
    assert (ran.status, ran.out) == (0, "False\n")


def test_formats_are_those_of_the_dataset() -> None:
    assert files.SUFFIXES == SUFFIXES
    assert (zarr_store.V3, zarr_store.V2_ARRAY, zarr_store.V2_GROUP) == STORES


@given(
    arrays.array_dtypes() | arrays.scalar_dtypes(),
    arrays.array_shapes(min_dims=0, min_side=0),
    st.sampled_from([(1, 0), (2, 0), (3, 0)]),
)
def test_plain_headers_are_those_of_numpy(
    tmp_path_factory: pytest.TempPathFactory, dtype: np.dtype, shape: tuple[int, ...], version: tuple[int, int]
) -> None:
    """GIVEN any array that is saved WHEN its header is read without numpy THEN the rows are those that numpy reads."""
    written = io.BytesIO()
    array = np.zeros(shape, dtype)
    try:
        np.lib.format.write_array(written, array, version)
    except (UnicodeEncodeError, ValueError):  # names of fields that version 1 cannot hold
        return
    path = tmp_path_factory.getbasetemp() / "any.npy"
    path.write_bytes(written.getvalue())

    header = read_plain_header(str(path))

    assert header is not None
    assert header.rows == read_header(io.BytesIO(written.getvalue()), "", None).rows
    if array.dtype.names is None:
        assert header.kind == read_header(io.BytesIO(written.getvalue()), "", None).kind


@given(st.binary(max_size=40))
def test_what_is_no_header_is_none(tmp_path_factory: pytest.TempPathFactory, junk: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "junk.npy"
    for content in (junk, b"\x93NUMPY" + junk, b"\x93NUMPY\x01\x00" + junk):
        path.write_bytes(content)
        assert read_plain_header(str(path)) is None


def test_what_is_not_there_is_none(tmp_path: Path) -> None:
    assert read_plain_header(str(tmp_path / "gone.npy")) is None
