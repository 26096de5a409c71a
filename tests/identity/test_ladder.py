"""The ladder over real files: how rows are found, when they are looked up, what is said when they are wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import coverage_audit as ca
from coverage_audit.identity.batches import Identified, Unknown
from coverage_audit.identity.ladder import Ladder
from coverage_audit.model.event import VERIFIED, Found, MarkKind
from coverage_audit.recorder.reading import install, uninstall
from coverage_audit.recorder.ways import choose_way

N = 60


class Pair(NamedTuple):
    x: Any
    y: Any


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """x_0, x_1: rows of 6 random numbers that begin with their own; y_0, y_1: labels."""
    rng = np.random.default_rng(0)
    for shard in range(2):
        x = rng.normal(size=(N, 6)).astype("f4")
        x[:, 0] = np.arange(N) + 1000 * shard
        np.save(tmp_path / f"x_{shard}.npy", x)
        np.save(tmp_path / f"y_{shard}.npy", np.arange(N) * 3)
    return tmp_path


@pytest.fixture
def reading() -> Iterator[None]:
    install()
    yield
    uninstall()


def ladder(folder: Path, identify: str = "auto", *, aligned: bool = True, verify_every: int = 64) -> Ladder:
    data = ca.Dataset.open(folder / "x_*.npy", aligned=folder / "y_*.npy" if aligned else None)
    way, _ = choose_way(None, identify, data, verify_every)
    assert isinstance(way, Ladder)
    return way


def load(path: Path, mode: str | None = "r") -> Any:
    return np.load(path, mmap_mode=mode)  # type: ignore[call-overload]


def told(way: Ladder, batch: Any) -> tuple[str, list[int] | str]:
    """How the rows of a batch are known, and their sample ids; why not, if unknown."""
    from coverage_audit.identity.agreement import ids_in

    _, answer = way.identify(batch)
    assert isinstance(answer, Identified)
    how = Found(answer.found & ~VERIFIED).name.lower() + (" verified" if answer.found & VERIFIED else "")
    if isinstance(answer.rows, Unknown):
        return how, answer.rows.reason
    return how, ids_in(way._declared, answer.rows).tolist()


@pytest.mark.usefixtures("reading")
@pytest.mark.parametrize("mode", ["r", None])
def test_rows_are_remembered_through_copies(folder: Path, mode: str | None) -> None:
    way = ladder(folder)
    x, y = load(folder / "x_1.npy", mode), load(folder / "y_1.npy", mode)
    idx = np.array([7, 0, 7, 59])
    assert told(way, (x[idx], y[idx])) == ("provenance verified", [67, 60, 67, 119])
    assert told(way, (x[idx] / 255, y[idx])) == ("provenance", [67, 60, 67, 119])
    assert told(way, {"image": x[3:5], "label": y[3:5]}) == ("provenance verified", [63, 64])
    assert told(way, [x[i] for i in idx]) == ("provenance", [67, 60, 67, 119])
    pair = Pair(np.stack([x[i] for i in idx]), np.asarray(y)[idx])
    assert told(way, pair) == ("provenance verified", [67, 60, 67, 119])


@pytest.mark.usefixtures("reading")
def test_a_batch_over_several_shards(folder: Path) -> None:
    way = ladder(folder)
    parts = [load(folder / f"x_{shard}.npy")[rows] for shard, rows in ((1, slice(0, 2)), (0, slice(57, 60)))]
    assert told(way, np.concatenate(parts)) == ("provenance verified", [60, 61, 57, 58, 59])


@pytest.mark.usefixtures("reading")
def test_what_goes_on_is_ordinary(folder: Path) -> None:
    """GIVEN batches in containers THEN they come back in the same, with ordinary arrays over the same memory."""
    way = ladder(folder)
    x, y = load(folder / "x_0.npy"), load(folder / "y_0.npy")
    rows = [0, 5]
    for batch in ((x[rows], y[rows]), [x[rows]], Pair(x[rows], y[rows]), {"x": (x[rows], [y[rows]])}):
        handed_on, _ = way.identify(batch)
        assert type(handed_on) is type(batch)
        for mine, theirs in zip(_flat(batch), _flat(handed_on), strict=True):
            assert type(theirs) is np.ndarray
            assert np.shares_memory(mine, theirs)
            assert np.array_equal(mine, theirs)
    masked = np.ma.masked_array([1, 2], mask=[True, False])
    same = (masked, np.arange(2), "text", None)
    assert way.identify(same)[0] is same


@pytest.mark.usefixtures("reading")
@pytest.mark.parametrize("aligned", [True, False], ids=["declared", "not declared"])
def test_misaligned_labels_are_said_and_the_rows_are_those_of_x(folder: Path, aligned: bool) -> None:
    way = ladder(folder, aligned=aligned)
    x, y = load(folder / "x_0.npy"), load(folder / "y_0.npy")
    answers = [way.identify((x[i : i + 4], y[i + 1 : i + 5]))[1] for i in range(0, 40, 4)]
    assert told(way, (x[:4], y[:4]))[1] == [0, 1, 2, 3]
    marked = [(at, notice) for at, a in enumerate(answers) for notice in a.notices]
    assert [at for at, _ in marked] == [0, 1, 3, 7]  # the 1st, 2nd, 4th, 8th
    assert all(notice.kind is MarkKind.MISALIGNED for _, notice in marked)
    assert [notice.data["batches"] for _, notice in marked] == [1, 2, 4, 8]
    assert [bool(notice.warning) for _, notice in marked] == [True, False, False, False]


@pytest.mark.usefixtures("reading")
def test_what_comes_next_is_no_misaligned_label(tmp_path: Path) -> None:
    """GIVEN a token stream whose targets are its windows moved by one THEN the rows are those of the inputs."""
    np.save(tmp_path / "x_0.npy", np.random.default_rng(0).integers(0, 60_000, 500).astype(np.uint16))
    way = ladder(tmp_path, aligned=False)
    data = load(tmp_path / "x_0.npy")
    starts = [5, 100, 7]
    x, y = (np.stack([data[i + by : i + by + 16].astype(np.int64) for i in starts]) for by in (0, 1))
    assert told(way, (x, y)) == ("provenance verified", [*range(5, 21), *range(100, 116), *range(7, 23)])


@pytest.mark.usefixtures("reading")
def test_two_arrays_of_other_rows_of_one_file_are_unknown(folder: Path) -> None:
    way = ladder(folder)
    x = load(folder / "x_0.npy")
    assert told(way, (x[[1, 2, 3]], x[[9, 4, 30]])) == (
        "unknown",
        "two arrays of a batch hold different rows of the data",
    )


@pytest.mark.usefixtures("reading")
def test_a_way_that_is_caught_wrong_is_not_asked_again(folder: Path) -> None:
    """
    GIVEN an array that was changed where no hook sees it, and rows that are therefore remembered wrongly
    WHEN the next sample is held against the file
    THEN that batch is told by its content, the way is given up, and it is said how far back it is in doubt
    """
    way = ladder(folder, verify_every=4)
    x = load(folder / "x_0.npy", None)
    assert [told(way, x[:4])[0] for _ in range(3)] == ["provenance verified"] * 3
    memory = memoryview(x).cast("B").cast("f", x.shape)
    plain = np.asarray(memory)
    plain[:] = plain[::-1].copy()
    assert told(way, x[:4]) == ("provenance", [0, 1, 2, 3])  # wrong, and not looked up
    _, caught = way.identify(x[:4])
    assert isinstance(caught, Identified)
    (demoted,) = [notice for notice in caught.notices if notice.kind is MarkKind.DEMOTED]
    assert (demoted.data["found"], demoted.data["verified"], demoted.data["asked"]) == (Found.PROVENANCE, 2, 4)
    assert "no longer told in this way" in demoted.warning
    assert told(way, x[:4])[1] == [59, 58, 57, 56]


@pytest.mark.usefixtures("reading")
@pytest.mark.parametrize("begin", range(1, 40))
def test_memory_rewritten_unseen_is_found_out_before_as_many_batches_again_are_told(folder: Path, begin: int) -> None:
    """GIVEN an array that is shuffled in place through another array WHEN a second epoch begins THEN it is noticed."""
    way = ladder(folder)
    x = load(folder / "x_0.npy", None)
    for _ in range(begin):
        assert told(way, x[:4])[1] == [0, 1, 2, 3]
    np.asarray(x)[:] = np.array(x)[::-1]
    notices = [mark.kind for _ in range(begin) for mark in way.identify(x[:4])[1].notices]
    assert MarkKind.DEMOTED in notices


@pytest.mark.usefixtures("reading")
@pytest.mark.parametrize("how", ["written through another map", "replaced", "saved again"])
def test_a_file_that_changes_is_said_and_its_rows_are_unknown(folder: Path, how: str) -> None:
    """GIVEN a file that changes after it was mapped THEN nobody claims to know its rows; other files stay known."""
    way = ladder(folder)
    x, other = load(folder / "x_0.npy"), load(folder / "x_1.npy")
    values = np.array(np.asarray(x))[::-1]
    if how == "written through another map":
        np.load(folder / "x_0.npy", mmap_mode="r+")[:] = values
    elif how == "replaced":
        np.save(folder / "new.npy", values)
        (folder / "new.npy").replace(folder / "x_0.npy")
    else:
        np.save(folder / "x_0.npy", values)
        x = load(folder / "x_0.npy")
    _, answer = way.identify(x[[3, 1, 4]])
    assert isinstance(answer, Identified)
    assert isinstance(answer.rows, Unknown)
    assert answer.rows.reason == "a declared file was changed while the run went on"
    assert told(way, x[5:9])[0] == "unknown"
    assert told(way, other[[3, 1]]) == ("provenance verified", [63, 61])


def test_views_alone(folder: Path) -> None:
    """GIVEN identify="views" THEN slices of maps opened at any time are known, and copies are not."""
    way = ladder(folder, "views")
    x = load(folder / "x_0.npy")
    assert told(way, x[3:6]) == ("view verified", [3, 4, 5])
    assert told(way, x[3:6]) == ("view", [3, 4, 5])
    assert told(way, x[[3, 4]])[0] == "unknown"


def test_arrays_opened_before_are_recognised_by_content(folder: Path) -> None:
    """GIVEN files loaded before anything was recorded, shuffled copies, and labels THEN content tells the rows."""
    x, y = load(folder / "x_1.npy", None), load(folder / "y_1.npy", None)
    way = ladder(folder)
    order = np.random.default_rng(0).permutation(N)
    assert told(way, (x[order][:5], y[order][:5])) == ("indexed_content", (order[:5] + N).tolist())
    assert told(way, (x[order][:5].astype("f8"), y[order][:5])) == ("indexed_content", (order[:5] + N).tolist())
    assert told(way, (np.sin(x[order][:5]), y[order][:5]))[0] == "unknown"


@pytest.mark.usefixtures("reading")
def test_standardised_copies_are_inferred_from_what_was_read(folder: Path) -> None:
    """GIVEN a loader whose arithmetic nobody can follow THEN the rows read since its last batch explain it, or not."""
    way = ladder(folder)
    x = load(folder / "x_0.npy")
    rows = np.random.default_rng(1).permutation(N)[:12]
    batch = np.array([(x[i] - 3) / 7 for i in rows], "f4")
    assert told(way, batch) == ("inferred verified", rows.tolist())
    np.array([x[i] for i in rows[:6]])  # read, and not in the batch
    batch = np.array([(x[i] - 3) / 7 for i in rows[:8]], "f4")
    assert told(way, batch)[0] == "unknown"


@pytest.mark.parametrize("batch", [None, 3, "text", [], {}, (), (None, 1.5), np.float64(3), object(), [[1, 2], [3]]])
def test_other_things_are_unknown_and_go_on_as_they_are(folder: Path, batch: Any) -> None:
    way = ladder(folder)
    handed_on, answer = way.identify(batch)
    assert handed_on is batch
    assert isinstance(answer, Identified)
    assert isinstance(answer.rows, Unknown)


def _flat(batch: Any) -> Iterator[Any]:
    if isinstance(batch, np.ndarray):
        yield batch
    elif isinstance(batch, dict):
        for part in batch.values():
            yield from _flat(part)
    else:
        for part in batch:
            yield from _flat(part)
