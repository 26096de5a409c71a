"""Rows of arrays in memory: found where a batch is a view or a copy of them, whatever is done to the memory meanwhile.

Row i is what ``x[i]`` was when the dataset was made of x. Rows are right or unknown.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from coverage_audit.identity.agreement import ids_in
from coverage_audit.identity.batches import Identified, Unknown
from coverage_audit.identity.ladder import Ladder
from coverage_audit.model.event import VERIFIED, Found
from coverage_audit.recorder.ways import choose_way
from coverage_audit.sources import held
from coverage_audit.sources.dataset import Dataset

Array = np.ndarray[Any, Any]


def way_of(data: Any, identify: str = "auto", offset: int = 0) -> Ladder:
    dataset = data if isinstance(data, Dataset) else Dataset.of(data)
    way, reads = choose_way(None, identify, dataset, offset=offset)
    assert isinstance(way, Ladder)
    assert not reads, "no file of this data is read"
    return way


def told(way: Ladder, batch: Any) -> tuple[str, list[int] | str]:
    """How, and which rows; why not, if unknown."""
    _, answer = way.identify(batch)
    assert isinstance(answer, Identified)
    how = Found(answer.found & ~VERIFIED).name.lower()
    rows = answer.rows
    return how, rows.reason if isinstance(rows, Unknown) else ids_in(way._declared, rows).tolist()


def rows(way: Ladder, batch: Any) -> list[int] | None:
    found = told(way, batch)[1]
    return found if isinstance(found, list) else None


def sample(n: int = 300, width: int = 6) -> Array:
    return np.random.default_rng(0).normal(size=(n, width)).astype("f4")


NOT_IN_THE_DATA = "the batch holds rows that are not in the data, byte for byte or by an exact scaling"


def test_views_and_copies() -> None:
    x, y = sample(), np.arange(300) % 10
    way = way_of(x)
    order = np.array([7, 0, 7, 299])

    assert told(way, (x[3:6], y[3:6])) == ("view", [3, 4, 5])
    assert told(way, x[9:2:-3]) == ("view", [9, 6, 3])
    assert told(way, {"x": x[::100].reshape(3, 2, 3), "y": y[::100]}) == ("view", [0, 100, 200])
    assert told(way, x[5:7, 1:]) == ("view", [5, 6]), "a part of each row"
    assert told(way, (x[5:7, :-1], x[5:7, -1])) == ("view", [5, 6]), "features and a label"
    assert told(way, np.broadcast_to(x[4], (3, 6))) == ("view", [4, 4, 4])
    assert told(way, (x[order], y[order])) == ("indexed_content", [7, 0, 7, 299])
    assert told(way, x[order].astype("f8")) == ("indexed_content", [7, 0, 7, 299])
    assert told(way, np.array(x[8:2:-2])) == ("indexed_content", [8, 6, 4])
    assert told(way, np.stack([x[1], x[2]])) == ("indexed_content", [1, 2])
    assert told(way, x * 2) == ("unknown", NOT_IN_THE_DATA)
    assert told(way, x[order, 1:])[0] == "unknown", "a part of a copy"
    assert told(way, x[:0])[1] == []


def test_images_as_fractions() -> None:
    x = np.random.default_rng(1).integers(0, 256, (50, 4, 4, 1), np.uint8)
    way = way_of(x)

    assert told(way, x[3:5] / np.float32(255)) == ("indexed_content", [3, 4])
    assert told(way, x[3:5].astype("f4")) == ("indexed_content", [3, 4])


def test_a_shuffle_in_place_moves_rows_and_not_their_numbers() -> None:
    x = sample()
    way = way_of(x)
    was = {row.tobytes(): i for i, row in enumerate(x)}
    for epoch in range(3):
        seen: list[int] = []
        for at in range(0, 300, 32):
            found = rows(way, (x[at : at + 32], np.zeros(len(x[at : at + 32]))))
            assert found == [was[row.tobytes()] for row in x[at : at + 32]], epoch
            seen += found
        assert sorted(seen) == list(range(300))
        np.random.default_rng(epoch).shuffle(x)

    found = rows(way, (x[10:20, :-1], x[10:20, -1]))
    assert found == [was[row.tobytes()] for row in x[10:20]], "views of parts show which whole rows they are of"


def test_arrays_made_anew_for_each_epoch() -> None:
    x = sample()
    way = way_of(x)
    here = x
    order = np.arange(300)
    for seed in range(3):
        p = np.random.default_rng(seed).permutation(300)
        here, order = here[p], order[p]
        assert told(way, (here[20:60],)) == ("indexed_content", order[20:60].tolist())


def test_rows_changed_in_place_are_unknown_and_the_others_are_not() -> None:
    x = sample()
    way = way_of(x)
    batch = x[10:20]
    assert rows(way, batch) == list(range(10, 20))
    batch += 1

    assert told(way, x[10:20]) == ("unknown", NOT_IN_THE_DATA)
    assert told(way, x[15:25]) == ("unknown", NOT_IN_THE_DATA)
    assert told(way, x[20:30]) == ("indexed_content", list(range(20, 30)))


@pytest.mark.parametrize("identify", ["views", "content"])
def test_a_single_way(identify: str) -> None:
    x = sample()
    way = way_of(x, identify)

    assert told(way, x[3:5]) == ({"views": "view", "content": "indexed_content"}[identify], [3, 4])
    assert (told(way, x[[3, 5]])[0] == "unknown") == (identify == "views")


def test_other_memory_layouts_are_known_by_content() -> None:
    for x in (np.asfortranarray(sample()), sample(600)[::2], sample(300, 12)[:, ::2], sample().astype(">f4")):
        way = way_of(x)
        assert rows(way, x[4:7]) == [4, 5, 6]
        assert rows(way, x[[9, 0]]) == [9, 0]


def test_tensors() -> None:
    torch = pytest.importorskip("torch")
    x = torch.tensor(sample())
    way = way_of(x)

    assert told(way, (x[3:5], torch.zeros(2))) == ("view", [3, 4])
    assert told(way, x[torch.tensor([5, 2])]) == ("indexed_content", [5, 2])
    with torch.no_grad():
        x.copy_(x.flip(0))
    assert told(way, x[:3]) == ("indexed_content", [299, 298, 297])


def test_tensors_that_torch_moves_to_share_them() -> None:
    """As it does with the tensors of a dataset that goes to another process."""
    torch = pytest.importorskip("torch")
    x = torch.tensor(sample())
    way = way_of(x)
    before = x.data_ptr()
    x.share_memory_()

    assert x.data_ptr() != before
    assert told(way, x[3:5]) == ("indexed_content", [3, 4])
    assert told(way_of(x), x[3:5]) == ("view", [3, 4])


def test_views_of_tensors_over_an_array() -> None:
    torch = pytest.importorskip("torch")
    x = sample()
    assert told(way_of(x), torch.from_numpy(x)[4:6]) == ("view", [4, 5])


def test_objects_stay_unknown() -> None:
    x = np.array([[i, str(i)] for i in range(30)], object)
    assert told(way_of(x), x[3:5])[0] == "unknown"
    assert Dataset.of({"a": x, "b": x}).held is None


def test_records_and_text() -> None:
    x = np.array([(i, i / 2, f"row {i}") for i in range(30)], [("a", "i4"), ("b", "f8"), ("c", "U8")])
    way = way_of(x)
    assert told(way, x[3:6]) == ("view", [3, 4, 5])
    assert told(way, x["b"][3:6]) == ("view", [3, 4, 5])
    assert told(way, x[[3, 5]])[0] == "unknown", "records are told apart by where they are only, as in files"

    words = np.array([[f"word {i}", "two"] for i in range(30)])
    assert told(way_of(words), words[[4, 2]]) == ("indexed_content", [4, 2])


def test_single_numbers() -> None:
    """Told by their place, as long as all of them are where they were; else only long pieces are."""
    t = np.random.default_rng(3).normal(size=5000)
    way = way_of(t)
    assert told(way, t[10:20]) == ("view", list(range(10, 20)))
    assert told(way, t[[3, 5]])[0] == "unknown"
    t[4000] = 0
    assert told(way, t[10:20])[0] == "unknown"
    assert told(way, t[100:500]) == ("indexed_content", list(range(100, 500)))

    tokens = np.random.default_rng(3).integers(0, 5000, 20_000).astype("u2")
    way = way_of(tokens)
    at = np.array([40, 9000, 131])
    windows = np.stack([tokens[i : i + 64] for i in at])
    assert told(way, windows) == ("indexed_content", [i + j for i in at for j in range(64)])
    tokens[:] = tokens[::-1].copy()
    assert told(way, windows) == ("indexed_content", [i + j for i in at for j in range(64)])


def test_labels_shuffled_in_place_are_unknown() -> None:
    y = np.arange(400) % 10
    way = way_of(y)
    assert told(way, y[50:60]) == ("view", list(range(50, 60)))
    np.random.default_rng(0).shuffle(y)
    assert [told(way, y[i : i + 4])[0] for i in range(0, 400, 4)] == ["unknown"] * 100


def test_whole_numbers_in_memory_given_as_ids_stay_ids() -> None:
    from coverage_audit.identity.given import rows_of_step

    order = np.random.default_rng(0).permutation(400)
    x = np.arange(800.0).reshape(400, 2)
    found, answer = rows_of_step(order[3:6], way_of(order), 400)
    assert (found, np.asarray(answer).tolist()) == (Found.EXPLICIT, order[3:6].tolist())
    _, identified = rows_of_step(x[3:6], way_of(x), 400)
    assert isinstance(identified, Identified)
    assert identified.rows == (0, 3, 3)


def test_identical_rows_by_their_place_then_in_turn() -> None:
    x = sample(200)[np.arange(400) // 2]
    way = way_of(x)
    assert told(way, x[100:104]) == ("view", [100, 101, 102, 103])
    assert told(way, x[100:104]) == ("view", [100, 101, 102, 103]), "again the same: they are where they were"
    assert told(way, x[[100, 0]]) == ("indexed_content", [100, 0]), "of a pair that was told, the one before long"
    assert told(way, x[[100, 0]]) == ("indexed_content", [101, 1])
    np.random.default_rng(0).shuffle(x)
    seen = [row for i in range(0, 400, 20) for row in rows(way, x[i : i + 20]) or []]
    assert sorted(seen) == list(range(400))


def test_copies_beside_views_of_identical_rows_are_counted_once() -> None:
    """The last batch of a pass is put together from copies."""
    x = sample(100)[np.arange(200) % 100]
    way = way_of(x)
    seen = rows(way, x[:100]) or []
    seen += rows(way, np.concatenate((x[100:150], x[150:]))) or []
    assert sorted(seen) == list(range(200))


def test_identical_rows_of_ranks_begin_at_different_ones() -> None:
    x = sample(1)[[0] * 4]
    x[:, 0] = 3
    assert [rows(way_of(x, "content", offset=rank), x[[0, 0]]) for rank in range(3)] == [[0, 1], [1, 2], [2, 3]]


def test_shards() -> None:
    a, b = sample(50), sample(80)[50:]
    way = way_of({"a": a, "b": b})

    assert told(way, b[3:5]) == ("view", [53, 54])
    assert told(way, np.concatenate((a[48:], b[:2]))) == ("indexed_content", [48, 49, 50, 51])


def test_arrays_that_share_their_memory() -> None:
    """Nothing says whose row it is; they are told in turn."""
    x = sample(30)
    way = way_of({"all": x, "some": x[20:]})
    assert [told(way, x[25:26]) for _ in range(3)] == [("indexed_content", [row]) for row in (25, 35, 25)]


def test_a_selection_of_identical_rows() -> None:
    x = sample(3)[[0, 1, 2, 1]]
    way = way_of(Dataset.of(x).select([0, 2, 3]))
    assert told(way, x[[0, 1]]) == ("indexed_content", [0, 3])


def test_a_part_of_a_memory_map_of_whole_rows(tmp_path: Any) -> None:
    x = np.memmap(tmp_path / "x.bin", "f4", "w+", shape=(60, 6))
    x[:] = sample(60)
    way = way_of(x[10:])

    assert told(way, x[12:14]) == ("view", [2, 3])
    assert told(way, x[[12, 11]]) == ("indexed_content", [2, 1])
    assert told(way, x[9:11])[0] == "unknown"


def test_too_large_to_be_looked_through_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    from coverage_audit.identity import content

    x = sample()
    monkeypatch.setattr(held, "MOST_BYTES", 1000)
    monkeypatch.setattr(content, "MOST_BYTES", 1000)
    data = Dataset.of(x)
    way = way_of(data)
    for batch in (x[3:5], x[[3, 5]]):
        _, answer = way.identify(batch)
        assert isinstance(answer, Identified)
        assert isinstance(answer.rows, Unknown)
        assert answer.rows.detail.endswith("index them once with Dataset.index()")

    data.index(progress=False)
    assert told(way_of(data), x[3:5]) == ("view", [3, 4])
    assert told(way_of(data), x[[3, 5]]) == ("indexed_content", [3, 5])


def test_an_index_after_a_transform() -> None:
    x = sample()
    data = Dataset.of(x)
    data.index(transform=lambda block: (block - 1.5) / 3, progress=False)
    assert told(way_of(data), (x[[5, 9]] - 1.5) / 3) == ("indexed_content", [5, 9])


DTYPES = ["f4", "f8", "u1", "i8", "f2", "bool", "c8", ">i4", "U2"]


class Case(NamedTuple):
    """An array with few kinds of rows or many, in C order or not."""

    x: Array
    is_plain: bool


@st.composite
def cases(draw: st.DrawFn) -> Case:
    n = draw(st.integers(1, 90))
    width = draw(st.sampled_from([1, 2, 3, 8, 16]))
    kinds = draw(st.sampled_from([2, 5, 1000]))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    x = rng.integers(0, 90, (kinds, width))[rng.integers(0, kinds, n)].astype(draw(st.sampled_from(DTYPES)))
    layout = draw(st.sampled_from(["C", "C", "C", "F", "gaps"]))
    if layout == "F":
        x = np.asfortranarray(x)
    if layout == "gaps":
        x = np.repeat(x, 2, axis=0)[::2]
    return Case(x, bool(x.flags.c_contiguous))


def cut(draw: Any, n: int) -> tuple[Any, bool]:
    """(key of the first axis, whether it gives a view)."""
    how = draw(st.sampled_from(["slice", "slice", "back", "rows", "mask"]))
    low = draw(st.integers(0, n - 1))
    high = draw(st.integers(low, min(low + 20, n)))
    if how == "slice":
        return slice(low, high, draw(st.integers(1, 3))), True
    if how == "back":
        return slice(high - 1 if high else None, low - 1 if low else None, -draw(st.integers(1, 3))), True
    picked = np.array(draw(st.lists(st.integers(0, n - 1), max_size=12)), np.int64)
    if how == "rows":
        return picked, False
    mask = np.zeros(n, np.bool_)
    mask[picked] = True
    return mask, False


@given(st.data())
def test_rows_are_those_that_were_asked_for_or_unknown(data: st.DataObject) -> None:
    x, is_plain = data.draw(cases())
    n = len(x)
    was = x.copy()
    way = way_of(x)
    lies = np.arange(n)  # which declared row lies where
    moved = written = copied = False
    here = x
    for _ in range(data.draw(st.integers(1, 8))):
        event = data.draw(st.sampled_from(["none", "none", "shuffle", "swap", "anew", "write"]))
        rng = np.random.default_rng(data.draw(st.integers(0, 99)))
        if event == "shuffle":
            p = rng.permutation(n)
            here[:] = here[p]
            lies, moved = lies[p], True
        elif event == "swap":
            i, j = rng.integers(0, n, 2)
            here[[i, j]] = here[[j, i]]
            lies[[i, j]], moved = lies[[j, i]], True
        elif event == "anew":
            p = rng.permutation(n)
            here, lies, moved = here[p], lies[p], True
        elif event == "write":
            here[rng.integers(0, n)] = here.dtype.type(7) if here.dtype.kind != "U" else "7"
            written = True
        key, is_view = cut(data.draw, n)
        columns = data.draw(st.sampled_from([slice(None), slice(None), slice(0, 1), slice(1, None)]))
        batch = here[key][:, columns]
        label = np.zeros(len(batch))
        found = rows(way, data.draw(st.sampled_from([batch, (batch, label), {"y": label, "x": batch}])))
        copied = copied or not is_view  # from the first copy on, equal rows are told in turn
        if found is None:
            # A view is unknown only where it is of another array, or where something was done to this one.
            assert moved or written or not is_view or not is_plain or not batch.size
            continue
        assert len(found) == len(batch)
        assert was[found][:, columns].tolist() == batch.tolist(), "never other bytes"
        if written:
            continue
        if not (moved or copied) and is_plain and batch.size:
            assert found == np.arange(n)[key].tolist(), "where it lies, though others be equal"
        single = [int((was == row).all(axis=1).sum()) == 1 for row in was[found]]
        exact = np.where(single, found, lies[key])
        assert exact.tolist() == lies[key].tolist()


@given(st.data())
def test_each_row_once_in_each_epoch_whatever_is_equal_and_however_it_is_shuffled(data: st.DataObject) -> None:
    n = data.draw(st.integers(2, 120))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    x = rng.normal(size=(data.draw(st.sampled_from([2, 3, 10, 1000])), 3))[rng.integers(0, 1000, n) % 2]
    size = data.draw(st.integers(2, 20))
    assume(len(np.unique(x, axis=0)) > 1)
    way = way_of(x)
    here = x
    for _ in range(data.draw(st.integers(1, 4))):
        seen: list[int] = []
        how = data.draw(st.sampled_from(["views", "in place", "fancy", "anew"]))
        order = rng.permutation(n)
        if how == "in place":
            here[:] = here[order]
        if how == "anew":
            here = here[order]
        for at in range(0, n, size):
            batch = here[order[at : at + size]] if how == "fancy" else here[at : at + size]
            seen += rows(way, batch) or []
        assert sorted(seen) == list(range(n))
