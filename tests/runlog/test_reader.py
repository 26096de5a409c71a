"""Reading a log in every state it can be in, and clear words where it cannot be read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from simulated_trainer import batch, mark

from coverage_audit.errors import LogError
from coverage_audit.model.event import Consumed, Event, MarkKind
from coverage_audit.model.run import SplitInfo
from coverage_audit.model.shards import Shard, Shards
from coverage_audit.runlog.reader import read_log
from coverage_audit.testing.logs import write_log

SHARDS = Shards((Shard("a", 90), Shard("b", 10)))
EVENTS: list[Event] = [batch(0), batch(1), mark(MarkKind.CLOSED, "")]


def batches(path: Path) -> list[int]:
    log = read_log(path)
    return [b for writer in log.writers for v in log.visits(writer) for b in v.batch.tolist()]


def slug_of(path: Path | str) -> tuple[str, str]:
    with pytest.raises(LogError) as caught:
        read_log(path)
    return caught.value.slug, caught.value.message


def test_a_log_says_whose_it_is(tmp_path: Path) -> None:
    # GIVEN two attempts of a run
    path = tmp_path / "run.parquet"
    info = SplitInfo("train", SHARDS.fingerprint, batch_size=2, steps_per_epoch=3)
    write_log(path, SHARDS, [batch(0), Consumed("train", 1)], run_id="mine", splits=[info], finish=False)
    write_log(path, SHARDS, EVENTS, run_id="mine", splits=[info])

    log = read_log(path)

    assert log.run.run_id == "mine"
    assert [(w.writer.name, w.state, w.live, w.torn) for w in log.run.writers] == [
        ("a000-r0000-p0001", "open", False, False),
        ("a001-r0000-p0001", "closed", False, False),
    ]
    assert [w.splits for w in log.writers] == [(info,), (info,)]
    assert log.datasets == {SHARDS.fingerprint: SHARDS}
    assert [m.kind for m in log.marks(log.writers[1])] == [MarkKind.CLOSED]


def test_a_writer_that_died_before_it_recorded_is_open(tmp_path: Path) -> None:
    log = write_log(tmp_path / "run.parquet", SHARDS, [])
    shutil.rmtree(tmp_path / "run.parquet")
    (log.state / f"{log.stem}.json").write_text("")

    assert [(w.writer.name, w.state) for w in read_log(tmp_path / "run.parquet").run.writers] == [(log.stem, "open")]
    assert batches(tmp_path / "run.parquet") == []


@pytest.mark.parametrize("finish", [False, True])
def test_a_log_is_read_by_its_path(tmp_path: Path, finish: bool) -> None:
    path = tmp_path / "run.parquet"
    write_log(path, SHARDS, EVENTS, finish=finish)

    assert path.exists() == finish
    assert batches(path) == [0, 0, 1, 1]


def test_parts_without_their_state_folder_are_read_by_their_footers(tmp_path: Path) -> None:
    path = tmp_path / "run.parquet"
    log = write_log(path, SHARDS, EVENTS, run_id="mine")
    whole = read_log(path)
    shutil.rmtree(log.state)

    alone = read_log(path)

    assert alone.run == whole.run
    assert batches(path) == [0, 0, 1, 1]


def test_no_log(tmp_path: Path) -> None:
    write_log(tmp_path / "run.parquet", SHARDS, EVENTS)

    assert slug_of(tmp_path / "rum.parquet") == (
        "no-log",
        f"{tmp_path / 'rum.parquet'}: there is no run log; did you mean run.parquet?",
    )
    assert slug_of(tmp_path / "nowhere" / "log")[0] == "no-log"


def test_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "run.parquet").mkdir()

    assert slug_of(tmp_path / "run.parquet") == (
        "empty-log-folder",
        f"{tmp_path / 'run.parquet'} is an empty folder: nothing was recorded into it; record with "
        f"wrap(..., log={str(tmp_path / 'run.parquet')!r}) first",
    )


def test_what_is_no_log(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("hello")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "train.parquet").write_text("hello")

    assert slug_of(tmp_path / "file")[0] == "not-a-run-log"
    slug, message = slug_of(tmp_path / "folder")
    assert (slug, "a folder that also holds train.parquet" in message) == ("not-a-run-log", True)


@pytest.mark.parametrize("name", ["run.json", "a000-r0000-p0001.json"])
def test_a_newer_schema_in_the_state(tmp_path: Path, name: str) -> None:
    path = tmp_path / "run.parquet"
    log = write_log(path, SHARDS, EVENTS, finish=False)
    facts = json.loads((log.state / name).read_text())
    (log.state / name).write_text(json.dumps({**facts, "schema_version": 99}))

    assert slug_of(path) == (
        "newer-schema",
        f"{log.state / name} is of schema 99, this version reads up to 1: upgrade coverage-audit",
    )


def test_a_newer_schema_in_a_part(tmp_path: Path) -> None:
    path = tmp_path / "run.parquet"
    write_log(path, SHARDS, EVENTS)
    (part,) = path.iterdir()
    table = pq.read_table(part, partitioning=None)
    old = pq.read_metadata(part).metadata[b"coverage_audit.run"]
    run = {**json.loads(old), "schema_version": 2}
    pq.write_table(table.replace_schema_metadata({"coverage_audit.run": json.dumps(run)}), part)

    assert slug_of(path) == (
        "newer-schema",
        f"{part} is of schema 2, this version reads up to 1: upgrade coverage-audit",
    )


def test_a_damaged_part_gives_way_to_its_journal(tmp_path: Path) -> None:
    # GIVEN a part and the journal it was made from
    path = tmp_path / "run.parquet"
    log = write_log(path, SHARDS, EVENTS, finish=False)
    journal = log.state / f"{log.stem}-00000.journal"
    data = journal.read_bytes()
    from coverage_audit.runlog.parts import finish_log

    finish_log(path)
    (part,) = path.iterdir()

    # WHEN the part is cut off, and the journal still there
    part.write_bytes(part.read_bytes()[:-100])
    journal.write_bytes(data)
    assert batches(path) == [0, 0, 1, 1]

    # WHEN it is not
    journal.unlink()
    slug, message = slug_of(path)
    assert slug == "damaged-part"
    assert str(part) in message
    assert "restore it from a copy" in message


def test_a_part_damaged_inside_is_named(tmp_path: Path) -> None:
    path = tmp_path / "run.parquet"
    write_log(path, SHARDS, EVENTS)
    (part,) = path.iterdir()
    rows = pq.read_metadata(part).row_group(0).column(13)
    assert rows.path_in_schema == "row"
    data = bytearray(part.read_bytes())
    data[rows.data_page_offset : rows.data_page_offset + 40] = bytes(40)
    part.write_bytes(data)

    with pytest.raises(LogError, match=r"part-a000-r0000-p0001-00000\.parquet is damaged or cut off") as caught:
        batches(path)
    assert caught.value.slug == "damaged-part"


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    path = tmp_path / "run.parquet"
    write_log(path, SHARDS, EVENTS, roll_bytes=1)
    (path / "part-a000-r0000-p0001-00001.parquet").unlink()

    assert slug_of(path) == (
        "missing-part",
        f"{path / 'part-a000-r0000-p0001-00001.parquet'} is missing, 4 parts belong together: restore it from a copy, "
        "or move the other parts of a000-r0000-p0001 away to read the log without this writer",
    )


def test_a_missing_journal_is_named(tmp_path: Path) -> None:
    path = tmp_path / "run.parquet"
    log = write_log(path, SHARDS, EVENTS, roll_bytes=1, finish=False)
    (log.state / f"{log.stem}-00001.journal").unlink()

    assert slug_of(path)[0] == "missing-journal"


def test_a_part_of_somebody_else_is_no_part(tmp_path: Path) -> None:
    path = tmp_path / "run.parquet"
    path.mkdir()
    pq.write_table(pa.table({"x": [1]}), path / "part-a000-r0000-p0001-00000.parquet")

    assert slug_of(path)[0] == "damaged-part"
