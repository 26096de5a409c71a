"""Rows recognised by their bytes: exactly or not at all, identical rows in turn."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from content_world import Array, World
from hypothesis import given, settings
from hypothesis import strategies as st

from coverage_audit.errors import DatasetError
from coverage_audit.identity import candidates, content
from coverage_audit.identity.batches import Unknown
from coverage_audit.identity.content import Content
from coverage_audit.identity.row_index import RowIndex
from coverage_audit.model.event import Found
from coverage_audit.sources.dataset import Dataset
from coverage_audit.sources.row_hashes import hash_rows
from coverage_audit.sources.row_table import build_table

RNG = np.random.default_rng(0)


def ids_of(way: Content, leaf: Array, at: int = 0) -> list[int] | str:
    """The sample ids that are told, or why none are."""
    told = way.tell(leaf, at)
    if told is None:
        return "no rows of this data"
    if isinstance(told, Unknown):
        return told.reason
    assert isinstance(told[1], np.ndarray)
    return list(map(int, told[1]))


def found_by(way: Content, leaf: Array) -> Found:
    told = way.tell(leaf, 0)
    assert isinstance(told, tuple)
    assert not isinstance(told, Unknown)
    return told[0]


@pytest.fixture
def images() -> Array:
    return RNG.integers(0, 256, (60, 6, 6), dtype=np.uint8)


def test_rows_that_were_read_are_known_and_nothing_else_is_read(tmp_path: Path, images: Array) -> None:
    world = World(tmp_path, [images[:40], images[40:]])
    way = world.content()
    world.read(0, 8, 16)
    world.pick(1, [3, 1, 1])
    batch = np.stack([images[20], images[43], images[41], images[20]])
    assert ids_of(way, batch) == [20, 43, 41, 20]
    assert way.twins == (0, 0, 18)


def test_small_data_is_indexed_in_memory_when_reads_do_not_explain_a_batch(tmp_path: Path, images: Array) -> None:
    world = World(tmp_path, [images[:40], images[40:]])
    way = world.content()
    assert found_by(way, images[[59, 0]]) is Found.INDEXED_CONTENT
    assert ids_of(way, images[[59, 0, 59]]) == [59, 0, 59]
    assert world.reads.listeners == 0


def test_large_data_needs_an_index(tmp_path: Path, images: Array, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "MOST_BYTES", 1000)
    world = World(tmp_path, [images])
    way = world.content()
    told = way.tell(images[:4], 0)
    assert isinstance(told, Unknown)
    assert told.reason == "rows cannot be told by what they hold"
    assert told.detail.endswith("index them once with Dataset.index()")
    world.read(0, 0, 4)
    assert found_by(way, images[:4]) is Found.RECENT_CONTENT
    world.dataset.index()
    assert found_by(world.content(), images[:4]) is Found.INDEXED_CONTENT


def test_an_index_wants_no_reads(tmp_path: Path, images: Array) -> None:
    world = World(tmp_path, [images])
    world.dataset.index()
    way = world.content()
    assert world.reads.listeners == 0
    assert ids_of(way, images[::-1]) == list(range(59, -1, -1))


@pytest.mark.parametrize("indexed", [False, True])
def test_one_strange_row_makes_the_batch_unknown(tmp_path: Path, images: Array, indexed: bool) -> None:
    world = World(tmp_path, [images])
    if indexed:
        world.dataset.index()
    batch = images[:8].copy()
    batch[5, 0, 0] ^= 1
    way = world.content()
    world.read(0, 0, 60)
    assert ids_of(way, batch) == "the batch holds rows that are not in the data, byte for byte or by an exact scaling"
    assert ids_of(way, images[:8]) == list(range(8))


def test_leaves_of_other_shapes_are_no_rows(tmp_path: Path, images: Array) -> None:
    way = World(tmp_path, [images]).content()
    for leaf in (np.zeros(8), np.zeros((8, 35)), np.float32(1), np.array([None] * 4), np.zeros((0, 3)), images[0]):
        assert ids_of(way, np.asarray(leaf)) == "no rows of this data"
    assert ids_of(way, images[:0]) == []


def test_reshaped_rows_are_the_same_rows(tmp_path: Path, images: Array) -> None:
    way = World(tmp_path, [images]).content()
    assert ids_of(way, images[[4, 2]].reshape(2, 36)) == [4, 2]
    assert ids_of(way, images[[4, 2], :, :, None]) == [4, 2]
    assert ids_of(way, np.asfortranarray(images[[4, 2]])) == [4, 2]
    assert ids_of(way, images[[4, 2]].transpose(0, 2, 1)).__class__ is str


def test_a_batch_of_one_constant_says_nothing(tmp_path: Path, images: Array) -> None:
    """A mask of zeros has the shape of an image, and one image is black."""
    images[7] = 0
    way = World(tmp_path, [images]).content()
    assert ids_of(way, np.zeros((4, 6, 6), np.uint8)).__class__ is str
    assert ids_of(way, images[6:8]) == [6, 7]


def test_rows_of_a_few_bytes_are_refused(tmp_path: Path) -> None:
    way = World(tmp_path, [RNG.integers(0, 9, (50, 3)).astype(np.uint8)]).content()
    reason = "rows of less than 8 bytes are too short to be told apart by what they hold"
    assert ids_of(way, np.zeros((4, 3), np.uint8)) == reason


def test_objects_cannot_be_read_back(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([{}, []], object))
    world = World(tmp_path, dataset=Dataset.open(tmp_path / "x.npy"))
    assert ids_of(world.content(), np.zeros((2, 4))) == "rows cannot be told by what they hold"


def test_a_file_that_changed_is_said_to_have(tmp_path: Path, images: Array) -> None:
    world = World(tmp_path, [images])
    way = world.content()
    world.read(0, 0, 8)
    np.save(tmp_path / "x_0.npy", images[::-1])
    os.utime(tmp_path / "x_0.npy", ns=(1, 1))
    with pytest.raises(DatasetError, match="changed-file"):
        way.tell(images[:4], 0)


def test_types_and_scalings_are_undone(tmp_path: Path, images: Array) -> None:
    way = World(tmp_path, [images]).content()
    rows = images[[9, 8]]
    for leaf in (
        rows.astype(np.float32),
        rows.astype(np.int64),
        rows.astype(">f8"),
        rows / 255,
        rows.astype(np.float32) / 255,
        (rows / 255.0).astype(np.float32),
        rows.astype(np.float32) / 127.5 - 1,
        rows.astype(np.float16) / 255,
    ):
        assert ids_of(way, leaf) == [9, 8]
    assert ids_of(way, rows / 254).__class__ is str


def test_values_that_are_rows_in_two_ways_are_unknown_until_one_way_is_known(tmp_path: Path, images: Array) -> None:
    """Row 1 is row 0 inverted: x/255 of one is 1-x/255 of the other."""
    images[1] = 255 - images[0]
    way = World(tmp_path, [images]).content()
    both = images[[0, 1]].astype(np.float32) / 255
    assert ids_of(way, both) == "the values of a batch may be rows of the data in more ways than one"
    assert ids_of(way, images[[5]].astype(np.float32) / 255) == [5]
    assert ids_of(way, both) == [0, 1]


def test_the_same_values_in_shards_of_two_types_are_unknown(tmp_path: Path, images: Array) -> None:
    way = World(tmp_path, [images, images[:10].astype(np.float32)]).content()
    assert ids_of(way, images[[20, 30]].astype(np.float32)) == [20, 30]
    assert ids_of(way, images[[2, 3]].astype(np.float32)).__class__ is str


@pytest.mark.parametrize("name", ["data.npz", "data.npz::x", "data.h5::x", "data.bin::(6,6)u1"])
def test_every_format(tmp_path: Path, images: Array, name: str) -> None:
    """Where an archive holds x and y, rows are those with more bytes."""
    file = tmp_path / name.partition("::")[0]
    if file.suffix == ".npz":
        np.savez(file, x=images, y=np.arange(60))
    elif file.suffix == ".h5":
        import h5py

        with h5py.File(file, "w") as out:
            out["x"] = images
    else:
        images.tofile(file)
    world = World(tmp_path, dataset=Dataset.open(str(tmp_path / name)))
    assert ids_of(world.content(), images[[59, 3]]) == [59, 3]
    world.dataset.index()
    assert ids_of(world.content(), images[[59, 3]]) == [59, 3]


# Identical rows.


ROWS = st.lists(st.integers(0, 5), min_size=1, max_size=40)


def rows_of_values(values: list[int]) -> Array:
    return np.array(values, np.int64)[:, None] * np.arange(1, 4)


@given(ROWS, st.integers(0, 5), st.data())
def test_visits_of_identical_rows_go_round(values: list[int], offset: int, data: st.DataObject) -> None:
    """Any m visits in a row to m identical rows touch each once, whatever the batches."""
    rows = rows_of_values(values)
    index = RowIndex(build_table(hash_rows(rows), lambda at: at, len(rows)), offset)
    visits: list[int] = []
    for _ in range(data.draw(st.integers(1, 5))):
        wanted = data.draw(st.lists(st.sampled_from(values), max_size=12))
        told = index.rows_of(rows_of_values(wanted))
        assert told is not None
        assert [values[one] for one in told.tolist()] == wanted
        visits += told.tolist()
    for value in set(values):
        members = [row for row, one in enumerate(values) if one == value]
        turns = [one for one in visits if values[one] == value]
        start = members[offset % len(members)]
        assert turns[:1] in ([], [start])
        for at in range(len(turns) - len(members) + 1):
            assert sorted(turns[at : at + len(members)]) == members
    assert index.rows_of(rows_of_values([*values[:1], 6])) is None


@settings(max_examples=40, deadline=None)
@given(ROWS, st.integers(0, 3), st.data())
def test_whole_epochs_of_shuffled_data_show_every_row_once_each(
    tmp_path_factory: pytest.TempPathFactory, values: list[int], offset: int, data: st.DataObject
) -> None:
    """Whether all rows were read before, or slice by slice, and also if the index comes in between."""
    rows = rows_of_values(values) + np.arange(3)
    world = World(tmp_path_factory.mktemp("data"), [rows])
    if data.draw(st.booleans()):
        world.dataset.index()
    way = world.content(offset)
    size = data.draw(st.integers(1, len(rows)))
    lost = data.draw(st.integers(0, 6))
    for epoch in range(3):
        told: list[int] = []
        order = data.draw(st.permutations(range(len(rows))))
        for at in range(0, len(rows), size):
            if lost != epoch * 2:  # else it bypassed us
                world.pick(0, order[at : at + size])
            ids = ids_of(way, rows[order[at : at + size]])
            assert isinstance(ids, list)
            assert [values[one] for one in ids] == [values[one] for one in order[at : at + size]]
            told += ids
        assert sorted(told) == list(range(len(rows)))


def test_a_row_that_is_read_later_is_told_next(tmp_path: Path, images: Array) -> None:
    """Rows 3 and 50 are identical and the second is read when the first was already told."""
    images[50] = images[3]
    world = World(tmp_path, [images])
    way = world.content()
    world.read(0, 0, 30)
    assert ids_of(way, images[2:5]) == [2, 3, 4]
    world.read(0, 30, 30)
    assert ids_of(way, images[49:52]) == [49, 50, 51]
    assert ids_of(way, images[[3, 50, 3, 50]]) == [3, 50, 3, 50]
    assert way.twins == (1, 2, 60)


@pytest.mark.parametrize("offset", [0, 1, 2])
def test_the_index_goes_on_where_the_reads_ended(tmp_path: Path, images: Array, offset: int) -> None:
    """Rows 3, 50 and 51 are identical; row 3 was told among those read, before all data was indexed in memory."""
    images[50] = images[51] = images[3]
    world = World(tmp_path, [images])
    way = world.content(offset)
    world.read(0, 0, 30)
    assert ids_of(way, images[2:5]) == [2, 3, 4]
    assert ids_of(way, images[[49, 50, 51]]) == [49, 50, 51]
    assert ids_of(way, images[[3, 3, 3, 3]]) == [3, 50, 51, 3]


def test_the_index_goes_on_in_the_order_of_the_reads(tmp_path: Path, images: Array) -> None:
    """Of rows 3, 4 and 50, row 3 was told last and 50 never."""
    images[50] = images[4] = images[3]
    world = World(tmp_path, [images])
    way = world.content()
    world.read(0, 0, 30)
    assert ids_of(way, images[[3, 3, 3, 5]]) == [3, 4, 3, 5]
    assert ids_of(way, images[[49, 3, 3, 3, 3]]) == [49, 50, 4, 3, 50]


def test_of_identical_rows_those_of_the_selection_are_meant(tmp_path: Path, images: Array) -> None:
    """Row 50 belongs to the validation rows, and so does all of 51 and 52."""
    images[50] = images[3]
    images[52] = images[51]
    everything = World(tmp_path, [images]).dataset
    world = World(tmp_path, dataset=everything.select(range(50)))
    for indexed in (False, True):
        if indexed:
            world.dataset.index()
        way = world.content()
        world.read(0, 0, 60)
        assert ids_of(way, images[[3, 4, 50, 51, 51]]) == [3, 4, 3, 51, 52]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=60), st.integers(2, 9))
def test_the_last_reads_are_remembered(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], remembered: int
) -> None:
    """However few are: never a wrong row, and those of the last reads are known."""
    rows = rows_of_values(list(range(1, 32)))
    world = World(tmp_path_factory.mktemp("data"), [rows])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(candidates, "REMEMBERED", remembered)
        patch.setattr(content, "MOST_BYTES", 0)
        way = world.content()
        for at, row in enumerate(order):
            world.pick(0, [row])
            assert ids_of(way, rows[row : row + 1]) == [row]
            back = order[max(at - remembered + 1, 0) : at + 1]
            assert ids_of(way, rows[back]) == back
            older = rows[order[: at + 1]]
            assert ids_of(way, older) in (order[: at + 1], "rows cannot be told by what they hold")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 255), min_size=16, max_size=16), st.integers(1, 30), st.data())
def test_content_equals_a_dictionary_of_bytes(
    tmp_path_factory: pytest.TempPathFactory, levels: list[int], n: int, data: st.DataObject
) -> None:
    """Shuffled, cast and scaled data with many duplicates, against the slow definition."""
    picks = data.draw(st.lists(st.lists(st.sampled_from(levels), min_size=9, max_size=9), min_size=n, max_size=n))
    rows = np.array([*picks, range(9)], np.uint8)
    slow: dict[bytes, list[int]] = {}
    for at, row in enumerate(rows):
        slow.setdefault(row.tobytes(), []).append(at)
    way = World(tmp_path_factory.mktemp("data"), [rows[: n // 2 + 1], rows[n // 2 + 1 :]]).content()
    change = data.draw(
        st.sampled_from(
            [
                lambda x: x,
                lambda x: x.astype(np.float64),
                lambda x: x.astype(np.float32) / 255,
                lambda x: x.astype(np.float32) * np.float32(1 / 255),
                lambda x: (x / 255.0 - 0.5) / 0.5,
            ]
        )
    )
    assert ids_of(way, change(rows[[n]])) == [n]  # the only one with these values: from here on the way is known
    visits: Counter[int] = Counter()
    for _ in range(3):
        order = data.draw(st.permutations(range(len(rows))))
        told = ids_of(way, change(rows[list(order)]))
        assert isinstance(told, list)
        assert all(told[i] in slow[rows[order[i]].tobytes()] for i in range(len(rows)))
        visits.update(told)
    assert set(visits.values()) <= {3, 4 if len(slow[rows[n].tobytes()]) == 1 else 3}
