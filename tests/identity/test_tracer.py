"""Tracer datasets: written beside real files of every format, read off what loaders make of them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, assume, given, reject, settings
from hypothesis import strategies as st

import coverage_audit as ca
from coverage_audit.errors import CoverageAuditError, DatasetError
from coverage_audit.identity.batches import Run, Unknown
from coverage_audit.identity.tracer import ELSEWHERE, UNREADABLE, Tracer, read_tracer
from coverage_audit.identity.tracer_maker import plan_tracer
from coverage_audit.model.event import BatchRows, Found

Array = npt.NDArray[Any]

ROWS = {"x_0": 40, "x_1": 37, "x_2": 23}


def save_pictures(folder: Path) -> None:
    """x_N.npy: uint8 pictures; y_N.npy: labels from 3 to 7."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, rows in ROWS.items():
        np.save(folder / f"{name}.npy", rng.integers(0, 256, (rows, 12, 10, 3), np.uint8))
        np.save(folder / f"{name.replace('x', 'y')}.npy", 3 + rng.permutation(rows) % 5)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> ca.Dataset:
    folder = tmp_path_factory.mktemp("pictures")
    save_pictures(folder / "shards")
    data = ca.Dataset.open(str(folder / "shards/x_*.npy"), aligned=str(folder / "shards/y_*.npy"))
    return ca.tracer(data, folder / "tracer")


@pytest.fixture(scope="module")
def everything(pictures: ca.Dataset) -> Array:
    return np.concatenate([np.load(path) for path in pictures.paths if path is not None])


@pytest.fixture(scope="module")
def reader(pictures: ca.Dataset) -> Tracer:
    return opened(pictures)


def opened(data: ca.Dataset) -> Tracer:
    found = read_tracer(data)
    assert found is not None
    return found


def ids(told: Any) -> list[int] | None:
    """Sample ids as a list, None for unknown rows."""
    if told is None or isinstance(told, Unknown):
        return None
    assert isinstance(told, tuple)
    found, rows = told
    assert found == Found.TRACER
    if isinstance(rows, Run):
        assert rows.shard == 0
        return list(range(rows.row, rows.row + rows.length))
    if isinstance(rows, BatchRows):
        assert rows.runs is not None
        assert rows.count == int(rows.runs[:, 2].sum())
        return [r for shard, first, n in rows.runs.tolist() for r in range(first, first + n) if shard == 0]
    assert isinstance(rows, np.ndarray)
    assert rows.dtype == np.int64
    return [int(i) for i in rows]


def test_the_files_look_the_same(pictures: ca.Dataset) -> None:
    """GIVEN shards with labels WHEN a tracer is made THEN names, sizes and types are the same, and labels in range."""
    folder = pictures.paths[0].parent if pictures.paths[0] is not None else Path()
    original = folder.parent / "shards"

    assert sorted(p.name for p in folder.iterdir()) == sorted([*(p.name for p in original.iterdir()), "tracer.json"])
    for file in original.iterdir():
        assert (folder / file.name).stat().st_size == file.stat().st_size
        assert (folder / file.name).read_bytes()[:128] == file.read_bytes()[:128]
        assert (folder / file.name).read_bytes() != file.read_bytes()
    labels = np.concatenate([np.load(folder / f"y_{i}.npy") for i in range(3)])
    assert sorted(set(labels.tolist())) == [3, 4, 5, 6, 7]
    again = ca.Dataset.open(str(folder / "x_*.npy"), aligned=str(folder / "y_*.npy"))
    assert pictures == again


WHOLE: dict[str, Callable[[Array], Array]] = {
    "as it is": lambda x: x,
    "float32": lambda x: x.astype(np.float32),
    "float16": lambda x: x.astype(np.float16),
    "int64": lambda x: x.astype(np.int64),
    "big-endian": lambda x: x.astype(">f8"),
    "x/255": lambda x: x.astype(np.float32) / 255,
    "x/127.5-1": lambda x: (x / 127.5 - 1).astype(np.float32),
    "(x/255-0.5)/0.5": lambda x: (x.astype(np.float32) / np.float32(255) - np.float32(0.5)) / np.float32(0.5),
    "flat": lambda x: x.reshape(len(x), -1),
    "one axis more": lambda x: x[:, None, ..., None],
    "lines joined": lambda x: x.reshape(len(x), 4, 90),
    "channels first": lambda x: x.transpose(0, 3, 1, 2),
    "mirrored": lambda x: x[:, ::-1, ::-1],
    "turned": lambda x: np.rot90(x, axes=(1, 2)),
    "cropped": lambda x: x[:, 2:10, 1:9],
    "every other": lambda x: x[:, ::2, ::2],
    "one channel": lambda x: x[..., 1],
    "padded": lambda x: np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0))),
    "padded and cropped": lambda x: np.pad(x, ((0, 0), (4, 4), (4, 4), (0, 0)))[:, 1:13, 6:16],
    "cropped, scaled, channels first": lambda x: (x[:, 1:, 1:] / 255).astype(np.float32).transpose(0, 3, 1, 2),
    "not contiguous": np.asfortranarray,
}


@pytest.mark.parametrize("name", WHOLE)
def test_what_loaders_do(reader: Tracer, everything: Array, name: str) -> None:
    """GIVEN rows in any order WHEN they are transformed as loaders do THEN they are known."""
    chosen = np.random.default_rng(1).permutation(100)[:32]

    assert ids(reader.tell(WHOLE[name](everything[chosen]))) == chosen.tolist()


UNKNOWN: dict[str, Callable[[Array], Array]] = {
    "halved": lambda x: x // 2,
    "darker": lambda x: np.maximum(x, 20) - 20,
    "standardised": lambda x: ((x - x.mean()) / x.std()).astype(np.float32),
    "mixed up": lambda x: (x * 0.7 + x[::-1] * 0.3).astype(np.float32),
    "pasted": lambda x: np.concatenate([x[:, :6], x[::-1, 6:]], axis=1),
    "blurred": lambda x: (x[:, :-1].astype(np.int64) + x[:, 1:]) // 2,
    "one changed": lambda x: np.where(np.arange(x.size).reshape(x.shape) == 1000, 77, x),
    "a row of zeros": lambda x: np.concatenate([x, np.zeros_like(x[:1])]),
    "rows along the second axis": lambda x: x.reshape(len(x), 12, -1).swapaxes(0, 1),
    "lines as rows": lambda x: x[:, :10].reshape(-1, 30),
    "no numbers at all": lambda x: np.full(x.shape, np.nan),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_cannot_be_read(reader: Tracer, everything: Array, name: str) -> None:
    """GIVEN a transformation that loses or mixes rows WHEN read THEN unknown: never some of the rows, never others."""
    told = reader.tell(UNKNOWN[name](everything[5:37]))

    assert isinstance(told, Unknown)
    assert told.reason == UNREADABLE


def test_arrays_that_hold_no_rows_are_passed_over(reader: Tracer, everything: Array) -> None:
    for leaf in (
        np.arange(8),
        np.zeros((8, 10)),
        everything[:8, 0, 0],
        np.array("x"),
        np.array(["a", "b"]),
        np.zeros(0),
    ):
        assert reader.tell(leaf) is None


def test_one_picture_and_several_devices(reader: Tracer, everything: Array) -> None:
    """However the axes are split, the rows are as many as there are."""
    assert ids(reader.tell(everything[7])) == [7]
    assert ids(reader.tell(everything[4:12].reshape(2, 4, 12, 10, 3))) == list(range(4, 12))
    assert isinstance(reader.tell(everything[7, 2:]), Unknown)  # ten lines of one row are not ten rows


def test_a_batch_may_hold_a_row_twice(reader: Tracer, everything: Array) -> None:
    chosen = [3, 3, 99, 3, 0]

    assert ids(reader.tell(everything[chosen])) == chosen
    assert ids(reader.tell(everything[chosen][:, 1:, 1:])) == chosen
    # Ten lines of each, as rows of their own: twenty pieces of row 0 are not twenty rows.
    assert isinstance(reader.tell(everything[[0, 0, 1, 1]][:, :10].reshape(-1, 30)), Unknown)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(
    st.lists(st.integers(0, 99), min_size=1, max_size=20),
    st.lists(st.sampled_from(sorted(WHOLE)), max_size=3),
    st.lists(st.sampled_from(sorted(UNKNOWN)), max_size=1),
)
def test_any_chain_is_right_or_unknown(
    reader: Tracer, everything: Array, chosen: list[int], steps: list[str], last: list[str]
) -> None:
    x: Any = everything[chosen]
    try:
        for name in (*steps, *last):
            with np.errstate(all="ignore"):
                x = (WHOLE | UNKNOWN)[name](x)
            assume(x.size)
    except (ValueError, IndexError):  # the shape does not fit the next step
        reject()
    told = ids(reader.tell(x))

    # A row mixed with itself is what it was; pasted into one of which nothing is left, it is the other.
    assert told is None or told == chosen or (last == ["pasted"] and told == chosen[::-1])


def test_a_part_of_the_files_in_another_order(pictures: ca.Dataset, everything: Array) -> None:
    """GIVEN two of three shards WHEN a batch holds rows of the third THEN unknown; the others have their new ids."""
    x_0, _, x_2 = pictures.paths
    assert x_0 is not None
    assert x_2 is not None
    reader = opened(ca.Dataset.open([x_2, x_0]))

    assert ids(reader.tell(everything[[77, 99, 0]])) == [0, 22, 23]
    told = reader.tell(everything[[0, 40]])
    assert told == Unknown(2, ELSEWHERE)


def test_files_opened_by_their_labels_side_too(pictures: ca.Dataset, tmp_path: Path) -> None:
    """A tracer of labels alone: one int64 has room for an id."""
    first = pictures.paths[0]
    assert first is not None
    labels = ca.Dataset.open(str(first.parent.parent / "shards/y_*.npy"))
    made = ca.tracer(labels, tmp_path / "labels")
    y = np.load(tmp_path / "labels/y_1.npy")

    assert ids(opened(made).tell(y[[3, 1]])) == [43, 41]
    assert ids(opened(made).tell(y[:6].reshape(2, 3))) == [40, 41, 42, 43, 44, 45]


def test_no_tracer(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((5, 9)))

    assert read_tracer(ca.Dataset.open(tmp_path / "x.npy")) is None
    assert read_tracer(ca.Dataset.of(10)) is None


def test_rows_of_another_tracer_are_unknown(tmp_path: Path) -> None:
    """GIVEN training and validation files of the same names and sizes WHEN one reads the other's rows THEN unknown."""
    for part in ("train", "val"):
        (tmp_path / part).mkdir()
        np.save(tmp_path / part / "x.npy", np.zeros((50, 30), np.float32))
    train, val = (ca.tracer(ca.Dataset.open(tmp_path / p), tmp_path / f"t-{p}") for p in ("train", "val"))
    batch = np.load(tmp_path / "t-val/x.npy")[:8]

    assert ids(opened(val).tell(batch)) == list(range(8))
    assert isinstance(opened(train).tell(batch), Unknown)
    both = ca.Dataset.open([tmp_path / "t-train/x.npy", tmp_path / "t-val/x.npy"])
    assert ids(opened(both).tell(batch)) == list(range(50, 58))


def tokens(folder: Path, dtype: str, rows: int = 5000, **options: Any) -> tuple[Tracer, Array]:
    np.save(folder / "train.npy", np.zeros(rows, dtype))
    made = ca.tracer(ca.Dataset.open(folder / "train.npy"), folder / "tracer", **options)
    return opened(made), np.load(folder / "tracer/train.npy")


def test_windows_of_tokens(tmp_path: Path) -> None:
    """GIVEN a flat uint16 stream WHEN random windows are yielded in any integer type THEN their rows are runs."""
    reader, flat = tokens(tmp_path, "u2")
    starts = np.array([4000, 0, 17, 4999 - 64])
    x = np.stack([flat[i : i + 64] for i in starts]).astype(np.int64)
    y = np.stack([flat[i + 1 : i + 65] for i in starts]).astype(np.int64)

    told = reader.tell(x)
    assert told is not None
    found, rows = told[0], told[1]
    assert found == Found.TRACER
    assert isinstance(rows, BatchRows)
    assert rows.count == 256
    assert rows.runs is not None
    assert rows.runs.tolist() == [[0, int(i), 64] for i in starts]
    assert ids(reader.tell(y)) == [i + k for i in starts.tolist() for k in range(1, 65)]
    assert reader.tell(flat[100:200]) == (Found.TRACER, Run(0, 100, 100))
    assert ids(reader.tell(x[..., None].reshape(2, 2, 64, 1))) == ids(told)
    assert isinstance(reader.tell(x[:, ::2]), Unknown)
    assert isinstance(reader.tell(np.where(x == x[0, 9], 1, x)), Unknown)
    assert int(flat.max()) <= 255


@pytest.mark.parametrize("below", [3, 65, 50_257])
def test_tokens_below_a_vocabulary(tmp_path: Path, below: int) -> None:
    reader, flat = tokens(tmp_path, "u2", below=below)

    assert int(flat.max()) < below
    assert ids(reader.tell(flat[1000:1256].astype(np.int32))) == list(range(1000, 1256))


def test_a_window_over_the_end_of_a_shard_is_unknown(tmp_path: Path) -> None:
    for i in range(2):
        np.save(tmp_path / f"t_{i}.npy", np.zeros(300, np.uint16))
    made = ca.tracer(ca.Dataset.open(tmp_path), tmp_path / "tracer")
    flat = np.concatenate([np.load(tmp_path / f"tracer/t_{i}.npy") for i in range(2)])

    assert ids(opened(made).tell(flat[:300])) == list(range(300))
    assert opened(made).tell(flat[300:400]) == (Found.TRACER, Run(1, 0, 100))
    assert isinstance(opened(made).tell(flat[250:350]), Unknown)


def save_npz(folder: Path, x: Array, y: Array) -> list[str]:
    np.savez_compressed(folder / "d.npz", x=x, y=y, scale=np.array(3.0), other=np.zeros(2))
    return [f"{folder / 'd.npz'}::x"]


def save_hdf5(folder: Path, x: Array, y: Array) -> list[str]:
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "d.h5", "w") as file:
        file.attrs["classes"] = 5
        file.create_dataset("x", data=x, chunks=(7, *x.shape[1:]), compression="gzip").attrs["unit"] = "K"
        file.create_dataset("y", data=y)
        file.create_dataset("group/names", data=["a", "b"])
    return [f"{folder / 'd.h5'}::x"]


def save_zarr(folder: Path, x: Array, y: Array) -> list[str]:
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(str(folder / "d.zarr"), mode="w")
    group.create_array("x", shape=x.shape, dtype=x.dtype, chunks=(7, *x.shape[1:]))[:] = x
    group.create_array("y", shape=y.shape, dtype=y.dtype)[:] = y
    return [str(folder / "d.zarr")]


def save_flat(folder: Path, x: Array, y: Array) -> list[str]:
    (folder / "d.bin").write_bytes(b"magic 16 bytes.." + x.tobytes())
    shape = ",".join(map(str, x.shape[1:]))
    return [f"{folder / 'd.bin'}::({shape}){x.dtype.str[1:]}+16"]


def save_fortran(folder: Path, x: Array, y: Array) -> list[str]:
    np.save(folder / "d.npy", np.asfortranarray(x))
    return [str(folder / "d.npy")]


def load(folder: Path) -> Array:
    """The rows of the tracer's only file."""
    (path,) = (p for p in folder.iterdir() if p.name != "tracer.json")
    if path.suffix == ".npz":
        with np.load(path) as archive:
            assert archive["y"].tolist() == [3 + i % 5 for i in range(len(archive["y"]))]
            assert (float(archive["scale"]), archive["other"].tolist()) == (0.0, [0.0, 0.0])
            return np.asarray(archive["x"])
    if path.suffix == ".h5":
        import h5py

        with h5py.File(path) as file:
            assert (file.attrs["classes"], file["x"].attrs["unit"]) == (5, "K")
            assert (file["x"].chunks[0], file["x"].compression) == (7, "gzip")
            assert file["group/names"].shape == (2,)
            return np.asarray(file["x"][:])
    if path.suffix == ".zarr":
        group: Any = pytest.importorskip("zarr").open_group(str(path), mode="r")
        assert group["x"].chunks[0] == 7
        return np.asarray(group["x"][:])
    if path.suffix == ".bin":
        assert path.read_bytes()[:16] == b"magic 16 bytes.."
        return np.fromfile(path, np.float32, offset=16).reshape(-1, 5, 8)
    return np.asarray(np.load(path))


@pytest.mark.parametrize("save", [save_npz, save_hdf5, save_zarr, save_flat, save_fortran])
def test_every_format(tmp_path: Path, save: Callable[[Path, Array, Array], list[str]]) -> None:
    """GIVEN float32 rows in a file of some format WHEN a tracer is made THEN what surrounds them is kept."""
    (tmp_path / "data").mkdir()
    x = np.random.default_rng(0).normal(size=(30, 5, 8)).astype(np.float32)
    data = ca.Dataset.open(save(tmp_path / "data", x, 3 + np.arange(30) % 5))

    made = ca.tracer(data, tmp_path / "tracer")

    values = load(tmp_path / "tracer")
    assert (values.shape, values.dtype) == (x.shape, x.dtype)
    assert ids(opened(made).tell(values[[20, 4, 5]])) == [20, 4, 5]
    assert [s.name for s in made.shards] == [s.name for s in data.shards]


@pytest.mark.parametrize("dtype", ["c8", "c16", ">c8", ">i2", ">f4", "?"])
def test_other_types(tmp_path: Path, dtype: str) -> None:
    np.save(tmp_path / "x.npy", np.zeros((30, 9, 7), dtype))
    made = ca.tracer(ca.Dataset.open(tmp_path / "x.npy"), tmp_path / "tracer")
    x = np.load(tmp_path / "tracer/x.npy")

    assert x.dtype == np.dtype(dtype)
    assert ids(opened(made).tell(x[3:9])) == list(range(3, 9))
    if dtype != "?":
        assert ids(opened(made).tell(x.real[3:9].astype(np.float64))) == list(range(3, 9))


def test_structured_rows(tmp_path: Path) -> None:
    """The largest field tells the rows; the whole record, which is no number, does not."""
    kind = np.dtype([("label", "u1"), ("name", "U5"), ("pixels", "u1", (4, 5))])
    np.save(tmp_path / "x.npy", np.ones(12, kind))
    made = ca.tracer(ca.Dataset.open(tmp_path / "x.npy"), tmp_path / "tracer")
    x = np.load(tmp_path / "tracer/x.npy")

    assert ids(opened(made).tell(x["pixels"][4:8])) == [4, 5, 6, 7]
    assert (x["label"].tolist(), x["name"].tolist()) == ([0] * 12, [""] * 12)
    assert opened(made).tell(x[4:8]) is None


def test_partners_tell_their_rows_where_there_is_room(tmp_path: Path) -> None:
    """GIVEN masks of 21 classes beside pictures WHEN a tracer is made THEN both tell rows, and classes stay 21."""
    np.save(tmp_path / "x.npy", np.zeros((30, 16, 16, 3), np.uint8))
    np.save(tmp_path / "m.npy", np.random.default_rng(0).integers(0, 21, (30, 16, 16)).astype(np.uint8))
    data = ca.Dataset.open(tmp_path / "x.npy", aligned=tmp_path / "m.npy")
    reader = opened(ca.tracer(data, tmp_path / "tracer"))
    x, m = np.load(tmp_path / "tracer/x.npy"), np.load(tmp_path / "tracer/m.npy")

    assert int(m.max()) <= 20
    assert ids(reader.tell(x[5:9], 0)) == ids(reader.tell(m[5:9], 1)) == [5, 6, 7, 8]


def test_empty_shards_and_selections(tmp_path: Path) -> None:
    for i, rows in enumerate((3, 0, 4)):
        np.save(tmp_path / f"x_{i}.npy", np.zeros((rows, 30), np.uint8))
    data = ca.Dataset.open(tmp_path).select([1, 5])
    made = ca.tracer(data, tmp_path / "tracer")

    assert made.shards.expected == data.shards.expected
    assert ids(opened(made).tell(np.load(tmp_path / "tracer/x_2.npy")[[2]])) == [5]


def refusal(make: Callable[[], object]) -> str:
    with pytest.raises(CoverageAuditError) as caught:
        make()
    return str(caught.value)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (
            np.zeros(9, np.uint8).reshape(3, 3),
            "a row of {file} holds 3 values of uint8, and a row id with its check takes 5 of them: if these are "
            "labels, name the features in PATHS and this in aligned= [tracer-too-small]",
        ),
        (
            np.zeros(9, bool),
            "a row of {file} holds 1 value of bool, and a row id with its check takes 36 of them: if these are labels, "
            "name the features in PATHS and this in aligned= [tracer-too-small]",
        ),
        (
            np.array(["a", "b"]),
            "{file} is of type <U1, which holds no numbers to write row ids with: leave it out of PATHS, or name it in "
            "aligned= [tracer-type]",
        ),
        (
            np.array([{}, []], object),
            "{file} holds pickled objects (object), which cannot be stood in for: leave it out, or save it with a type "
            "of numbers [tracer-type]",
        ),
    ],
)
def test_arrays_without_room(tmp_path: Path, array: Array, message: str) -> None:
    np.save(tmp_path / "x.npy", array)
    data = ca.Dataset.open(tmp_path / "x.npy")

    assert refusal(lambda: ca.tracer(data, tmp_path / "t")) == message.format(file=tmp_path / "x.npy")
    assert not (tmp_path / "t").exists()


def test_a_file_of_text_alone(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file.create_dataset("names", data=["a", "b"])

    assert refusal(lambda: ca.tracer(ca.Dataset.open(tmp_path / "d.h5"), tmp_path / "t")) == (
        f"{tmp_path / 'd.h5'} holds no numbers to write row ids with: leave it out of PATHS, or name it in aligned= "
        "[tracer-type]"
    )


def test_data_without_files(tmp_path: Path) -> None:
    assert refusal(lambda: ca.tracer(ca.Dataset.of(5), tmp_path / "t")) == (
        "Dataset(5 rows in 1 shard: data 5) has shards without files on this machine: a tracer stands in for files, so "
        "use Dataset.open(paths) [tracer-needs-files]"
    )


def test_what_is_no_dataset(tmp_path: Path) -> None:
    assert refusal(lambda: ca.tracer("x_*.npy", tmp_path / "t")) == (  # type: ignore[arg-type]
        "dataset='x_*.npy' is of type str: a tracer stands in for the files of ca.Dataset.open(paths) [bad-dataset]"
    )


def test_a_limit_that_is_none(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros(50, "u2"))
    data = ca.Dataset.open(tmp_path / "x.npy")

    assert refusal(lambda: ca.tracer(data, tmp_path / "t", below=1)).endswith("[bad-below]")
    assert refusal(lambda: ca.tracer(data, tmp_path / "t", below=2)).endswith("[tracer-too-small]")


def test_what_is_never_overwritten(tmp_path: Path) -> None:
    """A folder of the user's, the data itself, a tracer of other files; the same tracer is written anew."""
    save_pictures(tmp_path / "shards")
    data = ca.Dataset.open(str(tmp_path / "shards/x_*.npy"))
    before = {p: p.read_bytes() for p in (tmp_path / "shards").iterdir()}
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    ca.tracer(data, tmp_path / "t")
    remedy = "name a new or empty folder for the tracer [tracer-folder]"

    def told(folder: str, of: ca.Dataset = data) -> str:
        return refusal(lambda: ca.tracer(of, tmp_path / folder)).removeprefix(f"{tmp_path / folder} ")

    assert told("shards") == f"is where the data itself lies: {remedy}"
    assert told("mine") == f"holds other things (no tracer.json): {remedy}"
    assert told("file") == f"is a file: {remedy}"
    assert told("t", ca.Dataset.open(tmp_path / "shards/x_0.npy")) == (
        f"holds a tracer with other files (x_1.npy): {remedy}"
    )
    made = ca.tracer(data, tmp_path / "t")
    assert told("t", made) == f"is where the data itself lies: {remedy}"
    (tmp_path / "t/tracer.json").unlink()
    assert told("t") == f"holds other things (no tracer.json): {remedy}"
    assert {p: p.read_bytes() for p in (tmp_path / "shards").iterdir()} == before


def test_a_full_disk_is_found_before_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_pictures(tmp_path / "shards")
    data = ca.Dataset.open(str(tmp_path / "shards/x_*.npy"))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage._replace(free=35_999))

    assert refusal(lambda: ca.tracer(data, tmp_path / "t")) == (
        f"the tracer takes 36,000 bytes, as the data does, and {tmp_path} has 35,999 free: name a folder on another "
        "disk, or fewer files [tracer-no-space]"
    )
    assert not (tmp_path / "t").exists()


def test_a_cut_off_tracer_is_ours_and_none(tmp_path: Path) -> None:
    """GIVEN writing that stopped in the middle THEN no file is half-written, and it can be done again."""
    save_pictures(tmp_path / "shards")
    data = ca.Dataset.open(str(tmp_path / "shards/x_*.npy"))

    def stop(done: int, total: int) -> None:
        assert total == 36_000
        if done > 20_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ca.tracer(data, tmp_path / "t", progress=stop)

    assert sorted(p.name for p in (tmp_path / "t").iterdir()) == ["tracer.json", "x_0.npy"]
    assert read_tracer(ca.Dataset.open(tmp_path / "t")) is None
    assert read_tracer(ca.tracer(data, tmp_path / "t")) is not None


def test_the_plan_says_what_will_be_written(tmp_path: Path) -> None:
    save_pictures(tmp_path / "shards")
    plan = plan_tracer(ca.Dataset.open(str(tmp_path / "shards/x_*.npy")), tmp_path / "t")

    assert (plan.bytes, [f.name for f in plan.files]) == (36_000, ["x_0.npy", "x_1.npy", "x_2.npy"])
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize(
    ("change", "slug"),
    [
        ({"format": 2}, "newer-tracer"),
        ({"shards": 5}, "bad-tracer"),
        ({"codes": [{"kind": "rows"}]}, "bad-tracer"),
        ({"files": None}, "bad-tracer"),
    ],
)
def test_a_damaged_mark(tmp_path: Path, change: dict[str, Any], slug: str) -> None:
    np.save(tmp_path / "x.npy", np.zeros((50, 30)))
    made = ca.tracer(ca.Dataset.open(tmp_path / "x.npy"), tmp_path / "t")
    mark = tmp_path / "t/tracer.json"
    mark.write_text(json.dumps(json.loads(mark.read_text()) | change))

    with pytest.raises(DatasetError) as caught:
        read_tracer(made)
    assert caught.value.slug == slug
    mark.write_text("{")
    with pytest.raises(DatasetError, match="bad-tracer"):
        read_tracer(made)


def test_a_link_to_the_files_is_the_files(pictures: ca.Dataset, tmp_path: Path, everything: Array) -> None:
    first = pictures.paths[0]
    assert first is not None
    os.symlink(first.parent, tmp_path / "link")

    assert ids(opened(ca.Dataset.open(str(tmp_path / "link/x_*.npy"))).tell(everything[5:9])) == [5, 6, 7, 8]
