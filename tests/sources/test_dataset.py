"""Dataset: what counts as a row, a shard and a name, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coverage_audit.errors import DatasetError
from coverage_audit.model.rows import RowSet
from coverage_audit.model.shards import Shard, Shards
from coverage_audit.sources.dataset import Dataset

ROWS = {0: 1000, 1: 937, 2: 1003, 10: 250}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """x_N.npy and y_N.npy of unequal size in shards/, which is below the working directory."""
    (tmp_path / "shards").mkdir()
    for number, rows in ROWS.items():
        np.save(tmp_path / f"shards/x_{number}.npy", np.zeros((rows, 2), np.float32))
        np.save(tmp_path / f"shards/y_{number}.npy", np.zeros(rows, np.int64))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def layout(data: Dataset) -> list[tuple[str, int]]:
    return [(shard.name, shard.rows) for shard in data.shards]


def refusal(*args: Any, **options: Any) -> str:
    with pytest.raises(DatasetError) as caught:
        Dataset.open(*args, **options)
    return str(caught.value)


def test_a_glob_comes_in_natural_order(folder: Path) -> None:
    data = Dataset.open("shards/x_*.npy")

    assert layout(data) == [("x_0.npy", 1000), ("x_1.npy", 937), ("x_2.npy", 1003), ("x_10.npy", 250)]
    assert (len(data), data.rows) == (3190, 3190)
    assert data.paths[3] == folder / "shards/x_10.npy"
    stat = os.stat("shards/x_10.npy")
    assert data.shards[3] == Shard("x_10.npy", 250, bytes=stat.st_size, modified_ns=stat.st_mtime_ns)
    assert repr(data) == "Dataset(3,190 rows in 4 shards: x_0.npy 1,000, x_1.npy 937, x_2.npy 1,003, x_10.npy 250)"


def test_paths_keep_the_order_they_are_given_in(folder: Path) -> None:
    data = Dataset.open(["shards/x_10.npy", Path("shards/x_0.npy")])

    assert layout(data) == [("x_10.npy", 250), ("x_0.npy", 1000)]


def test_names_begin_below_the_common_folder(folder: Path) -> None:
    (folder / "other").mkdir()
    np.save("other/x_0.npy", np.zeros(3))

    assert layout(Dataset.open("shards/x_0.npy")) == [("x_0.npy", 1000)]
    assert layout(Dataset.open(["shards/x_0.npy", "other/x_0.npy"])) == [("shards/x_0.npy", 1000), ("other/x_0.npy", 3)]
    assert layout(Dataset.open("**/x_0.npy")) == [("other/x_0.npy", 3), ("shards/x_0.npy", 1000)]


def test_a_folder_is_the_files_directly_inside(folder: Path) -> None:
    (folder / "only").mkdir()
    np.save("only/b.npy", np.zeros(2))
    (folder / "only/notes.txt").write_text("not data")

    assert layout(Dataset.open("only")) == [("b.npy", 2)]
    assert refusal(folder) == (
        f"{str(folder)!r} is a folder without .npy, .npz, .h5, .hdf5, .zarr, .parquet, "
        ".arrow, .tar, .tar.gz or .tgz files: for files further "
        f"down give a pattern such as '{folder}/**/*.npy' [no-files]"
    )


def test_a_name_with_brackets_that_exists_is_a_file(folder: Path) -> None:
    np.save("x[1].npy", np.zeros(5))

    assert layout(Dataset.open("x[1].npy")) == [("x[1].npy", 5)]


def test_only_headers_are_read(folder: Path) -> None:
    # 8 TB of rows in a sparse file.
    header = np.lib.format.open_memmap("big.npy", mode="w+", dtype=np.float32, shape=(2_000, 1_000, 1_000))
    del header
    objects = np.empty(7, object)
    np.save("objects.npy", objects, allow_pickle=True)

    assert Dataset.open("big.npy").rows == 2_000
    assert Dataset.open("objects.npy").rows == 7


def test_files_without_rows_are_shards(folder: Path) -> None:
    np.save("empty.npy", np.zeros((0, 4)))

    assert layout(Dataset.open(["empty.npy", "shards/x_0.npy"])) == [("empty.npy", 0), ("shards/x_0.npy", 1000)]


class TestAligned:
    def test_partners_are_kept_per_shard(self, folder: Path) -> None:
        np.save("shards/w_all.npy", np.zeros(3))
        data = Dataset.open("shards/x_*.npy", aligned="shards/y_*.npy")

        assert data.rows == 3190
        assert data.partners == tuple((folder / f"shards/y_{n}.npy",) for n in (0, 1, 2, 10))

    def test_another_number_of_files(self, folder: Path) -> None:
        os.remove("shards/y_2.npy")

        assert refusal("shards/x_*.npy", aligned="shards/y_*.npy") == (
            "'shards/y_*.npy' has 3 files for 4 shards: aligned files come one per shard [unaligned-files]"
        )

    def test_other_rows(self, folder: Path) -> None:
        np.save("shards/y_2.npy", np.zeros(1002))

        assert refusal("shards/x_*.npy", aligned="shards/y_*.npy") == (
            f"{folder}/shards/y_2.npy has 1,002 rows, its partner {folder}/shards/x_2.npy has 1,003: aligned files "
            "hold the same rows [unaligned-files]"
        )

    def test_a_hole_in_each_list(self, folder: Path) -> None:
        """GIVEN x_1 and y_2 are gone WHEN paired by place THEN x_2 does not become the partner of y_1."""
        os.remove("shards/x_1.npy")
        os.remove("shards/y_2.npy")

        assert refusal("shards/x_*.npy", aligned="shards/y_*.npy") == (
            f"{folder}/shards/y_1.npy would be the partner of {folder}/shards/x_2.npy, and their numbers differ: a "
            "file is missing on one side, or give both lists in the right order [unaligned-files]"
        )


class TestMixture:
    def test_features_and_labels(self, folder: Path) -> None:
        message = (
            "mixes files that describe the same rows: count one of them, Dataset.open('shards/x_*.npy', "
            "aligned='shards/y_*.npy'); if each holds rows of its own, list both: Dataset.open(['shards/x_*.npy', "
            "'shards/y_*.npy']) [mixed-files]"
        )

        assert refusal("shards/*.npy") == f"'shards/*.npy' {message}"
        assert refusal("shards") == f"'shards' {message}"

    def test_listing_both_patterns_means_both(self, folder: Path) -> None:
        assert Dataset.open(["shards/x_*.npy", "shards/y_*.npy"]).rows == 2 * 3190

    @pytest.mark.parametrize(
        ("names", "shape"),
        [
            (("x.npy", "y.npy"), (5,)),
            (("x_train.npy", "y_train.npy", "x_test.npy", "y_test.npy"), (5,)),
            (("a/images.npy", "a/labels.npy", "b/images.npy", "b/labels.npy"), (5, 2)),
            (("inputs/0.npy", "inputs/1.npy", "targets/0.npy", "targets/1.npy"), (5, 2)),
        ],
    )
    def test_known_roles(self, tmp_path: Path, names: tuple[str, ...], shape: tuple[int, ...]) -> None:
        for name in names:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            np.save(tmp_path / name, np.zeros(shape))

        assert refusal(tmp_path / "**/*.npy").endswith("[mixed-files]")

    @pytest.mark.parametrize(
        "names",
        [
            ("cats.npy", "dogs.npy"),
            ("part_a.npy", "part_b.npy"),
            ("shard_0.npy", "shard_1.npy"),
            ("2020/part_0.npy", "2021/part_0.npy"),
            ("train/x.npy", "test/x.npy"),
        ],
    )
    def test_equal_shards_are_no_mixture(self, tmp_path: Path, names: tuple[str, ...]) -> None:
        for name in names:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            np.save(tmp_path / name, np.zeros((5, 2)))

        assert Dataset.open(tmp_path / "**/*.npy").rows == 10

    def test_unknown_words_with_rows_of_another_kind(self, tmp_path: Path) -> None:
        np.save(tmp_path / "photos.npy", np.zeros((5, 2)))
        np.save(tmp_path / "answers.npy", np.zeros(5, int))

        assert refusal(tmp_path / "*.npy").endswith("[mixed-files]")


class TestRefused:
    def test_nothing_matches(self, folder: Path) -> None:
        assert refusal("shards/z_*.npy") == (
            "'shards/z_*.npy' matches no file: check the path, or quote the pattern [no-files]"
        )
        assert refusal([]) == "no path was given: name at least one file, folder or glob [no-files]"

    def test_a_format_we_do_not_read(self, folder: Path) -> None:
        (folder / "notes.txt").write_text("hello")

        assert refusal("notes.txt") == (
            f"{folder}/notes.txt is of a format that is not supported: .npy, .npz, .h5, .hdf5, .zarr, .parquet, "
            ".arrow, .tar, .tar.gz, .tgz are "
            "[unsupported-format]"
        )
        assert refusal("*.txt").endswith("give a pattern such as '*.npy' [unsupported-format]")

    def test_the_same_file_twice(self, folder: Path) -> None:
        (folder / "link.npy").symlink_to("shards/x_0.npy")

        assert refusal(["shards/x_0.npy", "link.npy"]) == (
            f"{folder}/link.npy is named twice (first as {folder}/shards/x_0.npy): name each file once "
            "[same-shard-twice]"
        )

    def test_a_0d_array(self, folder: Path) -> None:
        np.save("scalar.npy", np.float32(3))

        assert refusal("scalar.npy") == (
            f"{folder}/scalar.npy is a 0-d array, which has no rows: leave it out of the data, or give it one axis "
            "[no-rows-axis]"
        )

    @pytest.mark.parametrize("length", [0, 5, 9, 60, 127, 128 + 7999])
    def test_a_file_cut_short(self, folder: Path, length: int) -> None:
        whole = (folder / "shards/x_0.npy").read_bytes()
        (folder / "cut.npy").write_bytes(whole[:length])

        assert refusal("cut.npy").endswith("[damaged-file]")

    def test_how_much_is_missing_is_said(self, folder: Path) -> None:
        (folder / "cut.npy").write_bytes((folder / "shards/x_0.npy").read_bytes()[:628])

        assert refusal("cut.npy") == (
            f"{folder}/cut.npy is cut short: its header announces 8,000 bytes of data, 500 are there; write it again, "
            "or leave it out [damaged-file]"
        )

    @given(st.binary(max_size=200))
    def test_any_bytes_are_a_dataset_or_a_clear_error(self, tmp_path_factory: Any, junk: bytes) -> None:
        place = tmp_path_factory.mktemp("junk") / "junk.npy"
        place.write_bytes(b"\x93NUMPY\x01\x00" + junk)

        assert refusal(place).endswith(("[damaged-file]", "[no-rows-axis]"))

    def test_what_is_no_path(self) -> None:
        assert refusal(3) == "int is not a path: use Dataset.of for arrays and lengths [not-rows]"
        assert refusal(np.zeros(3)) == "float64 is not a path: use Dataset.of for arrays and lengths [not-rows]"


class TestSelect:
    def test_fewer_rows_same_ids(self) -> None:
        data = Dataset.of({"a": 4, "b": 6})
        chosen = data.select([0, 7, 3])

        assert (chosen.rows, chosen.shards.n_ids, chosen.fingerprint) == (3, 10, data.fingerprint)
        assert chosen.shards.pieces(chosen.shards.expected) == [("a", 0, 1), ("a", 3, 4), ("b", 3, 4)]
        assert repr(chosen) == "Dataset(3 of 10 rows in 2 shards: a 4, b 6)"

    @given(st.sets(st.integers(0, 19)))
    def test_ids_masks_and_row_sets_are_one(self, ids: set[int]) -> None:
        data = Dataset.of(20)
        mask = np.isin(np.arange(20), list(ids))

        assert data.select(sorted(ids)) == data.select(mask) == data.select(RowSet.of_ids(sorted(ids)))
        assert data.select(mask).shards.expected.ids().tolist() == sorted(ids)

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            ([10], "selected rows that are not in this dataset: 1, the first is 10: sample ids go from 0 to 9"),
            ([-1, 3], "selected rows that are not in this dataset: 1, the first is -1: sample ids go from 0 to 9"),
            ([1.0], "rows of type float64 and shape (1,) are not sample ids: give a list of whole numbers"),
            ([[1]], "rows of type int64 and shape (1, 1) are not sample ids: give a list of whole numbers"),
            ([1, 1], "1 of the 2 selected rows come more than once: a selection is a set, give numpy.unique(rows)"),
            ([True] * 3, "a mask of shape (3,) does not fit 10 rows"),
        ],
    )
    def test_refused(self, rows: list[Any], message: str) -> None:
        with pytest.raises(DatasetError) as caught:
            Dataset.of(10).select(rows)

        assert caught.value.message == message

    def test_a_selection_only_becomes_smaller(self) -> None:
        half = Dataset.of(10).select(range(5))

        assert half.select([4]).rows == 1
        with pytest.raises(DatasetError, match="less by the earlier select"):
            half.select([5])


def test_changes_are_said_in_sentences(folder: Path) -> None:
    recorded = Dataset.open("shards/x_*.npy").shards
    np.save("shards/x_1.npy", np.zeros((936, 2), np.float32))
    np.save("shards/x_2.npy", np.zeros((1003, 3), np.float32))
    os.rename("shards/x_10.npy", "shards/x_11.npy")

    assert Dataset.open("shards/x_*.npy").check_changed(recorded) == [
        "x_10.npy is gone (250 rows)",
        "x_11.npy is new (250 rows)",
        "x_1.npy had 937 rows and has 936",
        "x_2.npy had 8,152 bytes and has 12,164 bytes, with the same number of rows",
    ]


def test_touching_a_file_is_no_change_and_another_order_is(folder: Path) -> None:
    data = Dataset.open("shards/x_*.npy")
    os.utime("shards/x_0.npy", (1, 1))

    assert Dataset.open("shards/x_*.npy").check_changed(data.shards) == []
    assert data.check_changed(Shards(tuple(reversed(data.shards.items)))) == [
        "the shards come in another order, so sample ids mean other rows"
    ]


def test_urls_go_through_fsspec() -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    for number in (2, 10):
        with memory.open(f"/bucket/x_{number}.npy", "wb") as file:
            np.save(file, np.zeros(number))
    data = Dataset.open("memory://bucket/x_*.npy")

    assert layout(data) == [("x_2.npy", 2), ("x_10.npy", 10)]
    assert data.paths == (None, None)
    assert data.shards[0].bytes == 128 + 16
    assert refusal("memory://bucket/z.npy").endswith("[no-files]")
    assert refusal("nosuch://bucket/z.npy").endswith("[no-files]")
