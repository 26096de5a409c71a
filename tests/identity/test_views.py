"""Rows of views: exact or unknown, never wrong."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coverage_audit.identity.agreement import ids_in, text
from coverage_audit.identity.batches import Identified, Unknown
from coverage_audit.identity.declared import Declared
from coverage_audit.identity.ladder import Ladder
from coverage_audit.identity.views import NO_ROWS, NOT_KNOWN
from coverage_audit.model.event import MarkKind

N, D, E = 40, 3, 2


def save(path: Path, rows: int = N, shape: tuple[int, ...] = (D, E), **options: Any) -> Path:
    """A file in which each row holds its own number, everywhere."""
    values = np.empty((rows, *shape))
    values[:] = np.arange(rows).reshape(-1, *(1 for _ in shape))
    np.save(path, np.asfortranarray(values) if options.get("fortran") else values)
    return path


def load(path: Path, mode: str = "r") -> Any:
    return np.load(path, mmap_mode=mode)  # type: ignore[call-overload]


OFFSETS = Declared((None, None), ("", ""), ((), ()), (N, 25))


def rows_of(answer: Any) -> list[int] | str:
    """Sample ids one by one; why not, if unknown."""
    assert isinstance(answer, Identified)
    return answer.rows.reason if isinstance(answer.rows, Unknown) else ids_in(OFFSETS, answer.rows).tolist()


def known_in(paths: Sequence[Path], rows: Sequence[int], partners: Sequence[Sequence[Path]] | None = None) -> Ladder:
    """Views alone, as with identify="views"; nothing is looked up in the files."""
    return Ladder(Declared(paths, [""] * len(paths), partners or [()] * len(paths), rows), provenance=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(tmp_path / "x_0.npy")
    save(tmp_path / "x_1.npy", 25)
    save(tmp_path / "y_0.npy", shape=(1,))
    save(tmp_path / "y_1.npy", 25, shape=())
    return tmp_path


def views(folder: Path, *, partners: bool = False) -> Ladder:
    paths = (folder / "x_0.npy", folder / "x_1.npy")
    aligned = ((folder / "y_0.npy",), (folder / "y_1.npy",)) if partners else None
    return known_in(paths, (N, 25), aligned)


def span(shard: int, *rows: int) -> list[int]:
    return [shard * N + row for row in rows]


TEN = span(0, *range(10, 20))

EXACT: dict[str, tuple[Callable[[Any], Any], list[tuple[int, int]]]] = {
    "slice": (lambda a: a[10:20], TEN),
    "the whole file": (lambda a: a[:], span(0, *range(N))),
    "slice of a slice": (lambda a: a[5:30][5:15], TEN),
    "one row": (lambda a: a[7:8], span(0, 7)),
    "row 0": (lambda a: a[:1], span(0, 0)),
    "step": (lambda a: a[10:30:7], span(0, 10, 17, 24)),
    "backwards": (lambda a: a[::-1][:3], span(0, 39, 38, 37)),
    "backwards in steps": (lambda a: a[20:10:-4], span(0, 20, 16, 12)),
    "asarray": (lambda a: np.asarray(a[10:20]), TEN),
    "asarray, then slice": (lambda a: np.asarray(a)[10:20], TEN),
    "ascontiguousarray of what is contiguous": (lambda a: np.ascontiguousarray(a[10:20]), TEN),
    "astype without copy": (lambda a: a[10:20].astype(float, copy=False), TEN),
    "rows made flat": (lambda a: a[10:20].reshape(10, 6), TEN),
    "part of each row": (lambda a: a[10:20, :, 0], TEN),
    "part of each row, backwards": (lambda a: a[10:20, ::-1], TEN),
    "new axis": (lambda a: a[10:20, ..., None], TEN),
    "axes of a row swapped": (lambda a: a[10:20].transpose(0, 2, 1), TEN),
    "split": (lambda a: np.split(a, 4)[1], TEN),
    "one row, broadcast": (lambda a: np.broadcast_to(a[7:8], (4, D, E)), span(0, 7, 7, 7, 7)),
    "nothing": (lambda a: a[10:10], []),
}


@pytest.mark.parametrize("case", EXACT)
def test_what_is_known_exactly(folder: Path, case: str) -> None:
    make, rows = EXACT[case]
    batch = make(load(folder / "x_0.npy"))
    handed_on, answer = views(folder).identify((batch, np.zeros(len(batch))))
    assert rows_of(answer) == rows
    assert handed_on[0] is batch


UNKNOWN: dict[str, tuple[Callable[[Any], Any], str]] = {
    "fancy index": (lambda a: a[[1, 2]], NOT_KNOWN),
    "mask": (lambda a: a[np.arange(N) < 3], NOT_KNOWN),
    "copy": (lambda a: a[10:20].copy(), NOT_KNOWN),
    "arithmetic": (lambda a: a[10:20] / 255, NOT_KNOWN),
    "astype": (lambda a: a[10:20].astype("f4"), NOT_KNOWN),
    "stack": (lambda a: np.stack([a[0], a[1]]), NOT_KNOWN),
    "take": (lambda a: np.take(a, [1, 2], 0), NOT_KNOWN),
    "one row as a batch": (lambda a: a[7], NO_ROWS),
    "a batch of rows of batches": (lambda a: a[10:20].reshape(2, 5, D, E), NO_ROWS),
    "everything flat": (lambda a: a[10:20].reshape(-1), NO_ROWS),
    "axes turned": (lambda a: a[10:20].transpose(1, 0, 2), NO_ROWS),
    "windows": (lambda a: np.lib.stride_tricks.sliding_window_view(a, 4, 0), NOT_KNOWN),
    "bytes": (lambda a: a[10:20].reshape(-1).view("u1"), NO_ROWS),
    "a scalar": (lambda a: a[3, 1, 1:2].reshape(()), NO_ROWS),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_what_is_not_known(folder: Path, case: str) -> None:
    make, reason = UNKNOWN[case]
    assert rows_of(views(folder).identify((make(load(folder / "x_0.npy")), None))[1]) == reason


def test_each_file_is_told_by_its_real_path(folder: Path, tmp_path: Path) -> None:
    """GIVEN a file opened through a link, and another by a relative path THEN they are the shards they are."""
    (tmp_path / "link.npy").symlink_to(folder / "x_1.npy")
    known = views(folder)
    assert rows_of(known.identify(load(tmp_path / "link.npy")[3:5])[1]) == span(1, 3, 4)
    relative = Path(os.path.relpath(folder / "x_0.npy"))
    assert rows_of(known.identify({"x": load(relative)[3:5]})[1]) == span(0, 3, 4)


def test_a_map_of_a_part_of_the_file_has_the_rows_of_the_file(folder: Path) -> None:
    """GIVEN the last 10 rows, mapped by hand with an offset THEN they are the last 10 rows."""
    header = os.path.getsize(folder / "x_0.npy") - N * D * E * 8
    part: Any = np.memmap(folder / "x_0.npy", "f8", "r", offset=header + 30 * D * E * 8, shape=(10, D, E))
    assert rows_of(views(folder).identify(part[2:4])[1]) == span(0, 32, 33)


def test_a_map_with_the_header_in_it_has_no_rows(folder: Path) -> None:
    """GIVEN the whole file as raw bytes THEN no step along its first axis is a row."""
    raw: Any = np.memmap(folder / "x_0.npy", "u1", "r")
    assert rows_of(views(folder).identify(raw[128:256])[1]) == NO_ROWS
    header: Any = np.memmap(folder / "x_0.npy", "f8", "r", shape=(2, D, E))  # bytes of the header come first
    assert rows_of(views(folder).identify(header)[1]) == NO_ROWS


def test_structured_rows_and_their_fields(tmp_path: Path) -> None:
    values = np.zeros(20, [("id", "i8"), ("pixels", "u1", (3,))])
    np.save(tmp_path / "s.npy", values)
    known = known_in([tmp_path / "s.npy"], [20])
    data = load(tmp_path / "s.npy")
    assert rows_of(known.identify(data[4:6])[1]) == span(0, 4, 5)
    assert rows_of(known.identify((data[4:6]["pixels"], data[4:6]["id"]))[1]) == span(0, 4, 5)


def test_fortran_order_has_no_rows_in_memory(tmp_path: Path) -> None:
    save(tmp_path / "f.npy", fortran=True)
    known = known_in([tmp_path / "f.npy"], [N])
    assert rows_of(known.identify(load(tmp_path / "f.npy")[3:5])[1]) == NOT_KNOWN


def test_a_file_that_is_not_the_one_the_dataset_knows(folder: Path) -> None:
    """GIVEN a shard that has been written again with other rows THEN its views are not taken for rows."""
    known = views(folder)
    save(folder / "x_0.npy", 17)
    assert rows_of(known.identify(load(folder / "x_0.npy")[3:5])[1]) == NOT_KNOWN


@pytest.mark.parametrize("partners", [True, False], ids=["declared", "not declared"])
def test_x_and_y_have_to_agree(folder: Path, partners: bool) -> None:
    """GIVEN labels of other rows THEN the rows are those of x, and the disagreement is marked."""
    x, y = load(folder / "x_0.npy"), load(folder / "y_0.npy")
    for batch in ((x[3:5], y[3:5]), (x[3:5], y[3:5, 0])):
        assert misaligned(folder, batch, partners) == (span(0, 3, 4), "")
    rows, fault = misaligned(folder, {"image": x[3:5], "label": [y[4:6]]}, partners)
    assert rows == span(0, 3, 4)
    assert fault.startswith("rows 3, 4 of x_0.npy beside rows 4")
    for batch in ((x[3:6], y[3:5]), (x[3:5], y[4:2:-1])):
        assert misaligned(folder, batch, partners)[1] != ""


def test_a_partner_of_another_shard_disagrees(folder: Path) -> None:
    x, y = load(folder / "x_0.npy"), load(folder / "y_1.npy")
    rows, fault = misaligned(folder, (x[3:5], y[3:5]), True)
    assert rows == span(0, 3, 4)
    assert fault == "rows 3, 4 of x_0.npy beside rows 3, 4 of y_1.npy"


def test_files_are_named_below_the_folder_they_share(tmp_path: Path) -> None:
    """GIVEN rows of several shards THEN only those at the head that lie in one file are shown."""
    folders = (tmp_path / "a" / "x.npy", tmp_path / "b" / "x.npy")
    known = Declared(folders, ("", "rows"), ((tmp_path / "a" / "y.npy",), ()), (N, 25))
    assert text(known, np.array([7])) == "row 7 of a/x.npy"
    assert text(known, np.array([7, 8, 9, 10, 11]), 1) == "rows 7, 8, 9, 10 of a/y.npy, ..."
    assert text(known, np.array([N + 2, N + 3, 1])) == "rows 2, 3 of b/x.npy::rows, ..."
    assert text(known, np.array([N, N + 1]), 1) == "rows 0, 1 of another array of b/x.npy::rows"
    assert text(OFFSETS, np.array([N])) == "row 0 of shard 1"
    assert text(OFFSETS, np.array([], np.int64)) == "no rows"


def test_two_shards_in_two_arrays_of_a_batch_are_unknown(folder: Path) -> None:
    batch = (load(folder / "x_0.npy")[3:5], load(folder / "x_1.npy")[9:11])
    assert rows_of(views(folder).identify(batch)[1]) == "two arrays of a batch hold different rows of the data"


def misaligned(folder: Path, batch: Any, partners: bool) -> tuple[list[int] | str, str]:
    """The rows, and how the arrays disagree ("" if they do not)."""
    _, answer = views(folder, partners=partners).identify(batch)
    faults = [str(n.data["detail"]) for n in answer.notices if n.kind is MarkKind.MISALIGNED]
    return rows_of(answer), " and ".join(faults)


def test_a_file_of_another_length_has_no_say(folder: Path) -> None:
    """GIVEN a table of 7 rows that is declared nowhere THEN which of its rows come along says nothing."""
    save(folder / "table.npy", 7)
    batch = (load(folder / "x_0.npy")[3:5], load(folder / "table.npy")[:2])
    assert rows_of(views(folder).identify(batch)[1]) == span(0, 3, 4)


def test_labels_alone_do_not_say_which_features_were_read(folder: Path) -> None:
    batch = (load(folder / "x_0.npy")[3:5].copy(), load(folder / "y_0.npy")[3:5])
    assert rows_of(views(folder, partners=True).identify(batch)[1]) == NOT_KNOWN


def test_a_copy_on_write_map_is_believed_until_it_is_written_to(folder: Path) -> None:
    """GIVEN a map that was shuffled in memory THEN its addresses say nothing about the file any more."""
    known = views(folder)
    x = load(folder / "x_0.npy", "c")
    assert rows_of(known.identify(x[3:7])[1]) == span(0, 3, 4, 5, 6)
    assert rows_of(known.identify(x[7:3:-2])[1]) == span(0, 7, 5)
    np.random.default_rng(0).shuffle(x)
    assert rows_of(known.identify(x[3:7])[1]) == "a copy-on-write memory map was written to"


def test_maps_that_are_gone_are_forgotten(folder: Path) -> None:
    """GIVEN a loader that opens its files again for each pass THEN memory does not grow, and rows stay right."""
    known = views(folder)
    for i in range(50):
        assert rows_of(known.identify(load(folder / f"x_{i % 2}.npy")[i % 20 : i % 20 + 1])[1]) == span(i % 2, i % 20)
    assert known._witnesses.views is not None
    assert len(known._witnesses.views._places) <= 1


def test_other_things_are_no_views(folder: Path) -> None:
    known = views(folder)
    for batch in (None, 3, "text", [], {}, (None, 1.5), np.float64(3), pickle.loads(pickle.dumps(np.arange(6)))):
        assert rows_of(known.identify(batch)[1]) == NOT_KNOWN
    assert known.identify((np.zeros((5, 2)), np.zeros(5)))[1].rows == Unknown(5, NOT_KNOWN)


OPERATIONS: dict[str, Callable[[Any, int, int], Any]] = {
    "slice": lambda a, i, j: a[i % (len(a) + 1) : j % (len(a) + 1)],
    "step": lambda a, i, j: a[i % 4 :: j % 5 + 1],
    "backwards": lambda a, i, j: a[:: -(j % 3) - 1],
    "index": lambda a, i, j: a[i % len(a)],
    "inner slice": lambda a, i, j: a[:, i % 3 :] if a.ndim > 1 else a,
    "inner index": lambda a, i, j: a[:, i % a.shape[1]] if a.ndim > 1 else a,
    "inner backwards": lambda a, i, j: a[:, ::-1] if a.ndim > 1 else a,
    "flat": lambda a, i, j: a.reshape(-1),
    "rows flat": lambda a, i, j: a.reshape(len(a), -1),
    "pairs": lambda a, i, j: a.reshape(-1, 2) if a.size % 2 == 0 else a,
    "transpose": lambda a, i, j: a.T,
    "swap": lambda a, i, j: a.swapaxes(i % a.ndim, j % a.ndim),
    "new axis first": lambda a, i, j: a[None],
    "new axis": lambda a, i, j: a[:, None],
    "squeeze": lambda a, i, j: a.squeeze(),
    "asarray": lambda a, i, j: np.asarray(a),
    "broadcast": lambda a, i, j: np.broadcast_to(a, (i % 3 + 1, *a.shape)),
    "repeat one": lambda a, i, j: np.broadcast_to(a[:1], (i % 4 + 1, *a.shape[1:])),
    "windows": lambda a, i, j: np.lib.stride_tricks.sliding_window_view(a, min(i % 3 + 1, len(a)), 0),
    "fancy": lambda a, i, j: a[[i % len(a), j % len(a)]],
    "copy": lambda a, i, j: a.copy(),
    "diagonal": lambda a, i, j: np.diagonal(a) if a.ndim > 1 else a,
}

programs = st.lists(st.tuples(st.sampled_from(sorted(OPERATIONS)), st.integers(0, 50), st.integers(0, 50)), max_size=6)


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(program=programs, shape=st.sampled_from([(), (1,), (D,), (D, E), (1, E)]))
def test_never_wrong(tmp_path_factory: pytest.TempPathFactory, program: Any, shape: tuple[int, ...]) -> None:
    """
    GIVEN any program of array operations over a file in which each row holds its own number
    THEN the rows told are the numbers that each step along the first axis of the result holds, or none are told
    """
    path = _file_of_shape(tmp_path_factory, shape)
    array = load(path)
    for name, i, j in program:
        if array.ndim == 0 or array.size == 0:
            break
        array = OPERATIONS[name](array, i, j)
    answer = rows_of(known_in([path], [N]).identify(array)[1])
    if not isinstance(answer, str):
        assert len(answer) == len(array)
        for row, shown in zip(answer, array, strict=True):
            assert np.all(shown == row)


_files: dict[tuple[int, ...], Path] = {}


def _file_of_shape(factory: pytest.TempPathFactory, shape: tuple[int, ...]) -> Path:
    if shape not in _files:
        _files[shape] = save(factory.mktemp("rows") / "a.npy", shape=shape)
    return _files[shape]
