"""The hooks come, go, stay out of the way, and never fail the program under recording."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr
from numpy.lib import format as npy_format
from numpy.lib.npyio import NpzFile
from reading_files import X, recording, rows_of, rows_told, serial

from coverage_audit.errors import RecordingWarning
from coverage_audit.identity.declared import Declared
from coverage_audit.identity.origins import ORIGINS
from coverage_audit.identity.provenance import shadow_of
from coverage_audit.identity.reads import READS
from coverage_audit.recorder import follow, reading, reading_arrays
from coverage_audit.sources.contents import Contents
from coverage_audit.sources.dataset import Dataset

WRONG_CALLS: Any = np

HOOKED: list[tuple[Any, str]] = [
    (np.memmap, "__new__"),
    (npy_format, "read_array"),
    (NpzFile, "__getitem__"),
    (np, "fromfile"),
    (h5py.Dataset, "__getitem__"),
    (h5py.Dataset, "__array__"),
    (h5py.Dataset, "read_direct"),
    (zarr.Array, "get_basic_selection"),
    (zarr.Array, "get_orthogonal_selection"),
    (zarr.Array, "get_coordinate_selection"),
    (zarr.Array, "get_mask_selection"),
    (zarr.Array, "__array__"),
]


@pytest.fixture
def x_npy(tmp_path: Path) -> Path:
    np.save(tmp_path / "x.npy", X)
    return tmp_path / "x.npy"


def in_archive(path: Path, key: str) -> Any:
    with np.load(path) as archive:
        return archive[key]


def in_hdf5(path: Path, selection: Any) -> Any:
    with h5py.File(path) as file:
        return file["x"][selection]


def in_place() -> list[Any]:
    return [vars(owner)[name] for owner, name in HOOKED]


class TestComingAndGoing:
    def test_everything_is_put_back_exactly(self) -> None:
        before = in_place()

        reading.install()
        hooked = in_place()
        reading.uninstall()

        assert all(new is not old for new, old in zip(hooked, before, strict=True))
        assert all(new is old for new, old in zip(in_place(), before, strict=True))

    def test_it_is_counted(self) -> None:
        before = in_place()
        reading.install()
        hooked = in_place()
        reading.install()
        assert in_place() == hooked
        reading.uninstall()
        assert in_place() == hooked
        reading.uninstall()
        assert in_place() == before
        reading.uninstall()  # once more than installed
        reading.install()
        assert in_place() != before
        reading.uninstall()

    def test_a_hook_of_somebody_else_on_top_stays(self, monkeypatch: pytest.MonkeyPatch, x_npy: Path) -> None:
        """GIVEN np.fromfile replaced by others while recording WHEN it ends THEN theirs stays, ours is silent."""
        original = np.fromfile
        with recording(x_npy):
            ours = np.fromfile

            def theirs(*args: Any, **options: Any) -> Any:
                return ours(*args, **options)

            monkeypatch.setattr(np, "fromfile", theirs)

        assert np.fromfile is theirs
        assert type(np.fromfile(x_npy, np.float32, offset=128)) is np.ndarray
        monkeypatch.setattr(np, "fromfile", original)

    def test_a_load_imported_by_name_before_is_followed(self, x_npy: Path) -> None:
        from numpy import load  # before recording, as a script does

        with recording(x_npy):
            assert rows_of(load(x_npy)) == list(range(40))

    def test_many_threads_install_and_uninstall(self) -> None:
        before = in_place()

        def work() -> None:
            for _ in range(30):
                reading.install()
                reading.uninstall()

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert in_place() == before

    def test_nothing_is_imported_for_it(self) -> None:
        """GIVEN a script without h5py and zarr WHEN recording starts THEN they stay out; later ones can be hooked."""
        script = """
import sys
from coverage_audit.recorder import reading
reading.install()
reading.install_for("h5py")
print("h5py" in sys.modules, "zarr" in sys.modules)
import h5py
reading.install_for("h5py")
print(hasattr(h5py.Dataset.__getitem__, "__wrapped__"))
reading.uninstall()
print(h5py.Dataset.__getitem__.__module__)
"""
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)

        assert done.stdout.split() == ["False", "False", "True", "h5py._hl.dataset"]


class TestOutOfTheWay:
    def test_other_files_come_as_ever(self, x_npy: Path, tmp_path: Path) -> None:
        np.save(tmp_path / "other.npy", X)
        with recording(x_npy):
            assert type(np.load(tmp_path / "other.npy")) is np.ndarray
            assert type(np.load(tmp_path / "other.npy", mmap_mode="r")) is np.memmap

    def test_our_own_reading(self, x_npy: Path) -> None:
        with recording(x_npy):
            before = serial()
            with READS.ours():
                assert type(np.load(x_npy)) is np.ndarray
                assert type(np.load(x_npy, mmap_mode="r")) is np.memmap
            Contents(Dataset.open(x_npy)).read(0, np.array([3]))
            assert rows_told(before) == []

    @pytest.mark.parametrize(
        "call",
        [
            lambda path: np.load(path / "no"),
            lambda path: np.load(path / "no", mmap_mode="r"),
            lambda path: np.memmap(path / "no"),
            lambda path: WRONG_CALLS.memmap(path / "x.npy", mode="?"),
            lambda path: np.fromfile(path / "no"),
            lambda path: WRONG_CALLS.fromfile(),
            lambda path: np.load(path / "objects.npy"),
            lambda path: np.load(path / "text.npy"),
            lambda path: in_archive(path / "x.npz", "no"),
            lambda path: in_hdf5(path / "x.h5", 50),
            lambda path: in_hdf5(path / "x.h5", [3, 1]),
            lambda path: zarr.open_array(path / "x.zarr")[50],
            lambda path: zarr.open_array(path / "x.zarr").vindex[[50], [0], [0]],
        ],
    )
    def test_errors_are_those_of_the_original(self, tmp_path: Path, call: Callable[[Path], Any]) -> None:
        np.save(tmp_path / "x.npy", X)
        np.save(tmp_path / "objects.npy", np.array([{}], dtype=object))
        (tmp_path / "text.npy").write_text("no array")
        np.savez(tmp_path / "x.npz", x=X)
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file["x"] = X
        save: Any = zarr
        save.save_array(str(tmp_path / "x.zarr"), X)

        def failure() -> tuple[type, str]:
            with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever it is
                call(tmp_path)
            return caught.type, str(caught.value)

        without = failure()
        with recording(*tmp_path.iterdir()):
            assert failure() == without


class TestFailuresOfOurs:
    def test_the_result_is_untouched_and_one_warning(self, x_npy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*args: Any) -> None:
            raise RuntimeError("a fault of ours")

        monkeypatch.setattr(follow.FOLLOW, "_has_warned", False)
        with recording(x_npy):
            monkeypatch.setattr(reading_arrays, "track", fail)
            monkeypatch.setattr(reading_arrays, "track_root", fail)
            with pytest.warns(RecordingWarning, match="not followed everywhere \\(RuntimeError: a fault of ours\\)"):
                loaded = np.load(x_npy)
            mapped = np.load(x_npy, mmap_mode="r")  # no second one: warnings are errors here

        assert (type(loaded), type(mapped)) == (np.ndarray, np.memmap)
        np.testing.assert_array_equal(loaded, X)

    def test_warnings_made_errors_do_not_reach_the_program(self, x_npy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(follow.FOLLOW, "_has_warned", False)
        with recording(x_npy), warnings.catch_warnings():
            warnings.simplefilter("error")
            monkeypatch.setattr(reading_arrays, "track", None)
            assert type(np.load(x_npy)) is np.ndarray


class TestReplacedFiles:
    def test_the_new_file_is_another_origin(self, x_npy: Path) -> None:
        """GIVEN a file that is loaded, written anew and loaded again THEN the second time its rows are not declared."""
        data = Dataset.open(x_npy)
        declared = Declared(data.paths, data.members, data.partners, [40])
        with recording(x_npy):
            first = shadow_of(np.load(x_npy))
            np.save(x_npy, X[::-1])
            os.utime(x_npy, ns=(5, 5))
            second = shadow_of(np.load(x_npy))

        assert first is not None
        assert second is not None
        assert declared.tell(first) is not None
        assert declared.tell(second) is None

    def test_a_file_that_is_deleted_while_it_is_mapped(self, x_npy: Path) -> None:
        with recording(x_npy):
            mapped = np.load(x_npy, mmap_mode="r")
            x_npy.unlink()
            assert rows_of(mapped[3:5]) == [3, 4]

    def test_an_open_file_whose_name_is_another_file_now(self, x_npy: Path) -> None:
        with recording(x_npy), open(x_npy, "rb") as stream:
            x_npy.unlink()
            np.save(x_npy, X + 1)
            assert shadow_of(np.load(stream)) is None


def test_a_dataset_is_watched_with_partners_and_flat_types(tmp_path: Path) -> None:
    np.arange(100, dtype=np.uint16).tofile(tmp_path / "train.bin")
    np.save(tmp_path / "y.npy", np.zeros(92))
    data = Dataset.open(f"{tmp_path / 'train.bin'}::uint16+16", aligned=tmp_path / "y.npy")
    declared = Declared(data.paths, data.members, data.partners, [92])
    reading.watch(data)

    assert ORIGINS.wants(tmp_path / "y.npy")
    with recording():
        tokens = np.memmap(tmp_path / "train.bin", np.uint16, "r", offset=16)
        told = declared.tell(shadow_of(tokens[10:14]))  # type: ignore[arg-type]
    assert told is not None
    assert (told.role, told.rows) == (0, (0, 10, 4))
