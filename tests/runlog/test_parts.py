"""Parts: the same visits as the journals, readable by everybody, whole at any moment."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_trainer import Source, Trainer, batch, mark

from coverage_audit.errors import LogError
from coverage_audit.model.event import Batch, BatchRows, Consumed, Event, MarkKind
from coverage_audit.model.shards import Shard, Shards
from coverage_audit.runlog.identity import open_log
from coverage_audit.runlog.journal import Journal
from coverage_audit.runlog.parts import finish_log, finish_writer
from coverage_audit.runlog.reader import Log, read_log
from coverage_audit.runlog.schema import VISITS
from coverage_audit.runlog.visits import Visits
from coverage_audit.testing.logs import write_events, write_log

SHARDS = Shards((Shard("a", 90), Shard("b", 10_000)))
OPEN: dict[str, Any] = {
    "resume": False,
    "if_exists": "archive",
    "rank": 0,
    "world_size": 1,
    "launcher_id": None,
    "restart": None,
}


def all_visits(log: Log) -> dict[str, list[int]]:
    whole = Visits.concat([v for writer in log.writers for v in log.visits(writer)])
    return {name: getattr(whole, name).tolist() for name in Visits.ARRAYS}


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    length=st.one_of(st.none(), st.integers(1, 14)),
    n_steps=st.integers(1, 7),
    roll=st.sampled_from([200, 1500, 10**9]),
)
def test_parts_equal_journals(
    tmp_path_factory: pytest.TempPathFactory, seed: int, length: int | None, n_steps: int, roll: int
) -> None:
    # GIVEN a run whose batches wander through several journals
    trainer = Trainer(seed=seed, lead=6)
    held = Source("validation", 5, trainer.events)
    trainer.fit(Source("train", length, trainer.events), n_steps, 3, held, 2)
    folder = tmp_path_factory.mktemp("log")
    shards = {"train": SHARDS, "validation": Shards((Shard("v", 60),))}
    write_log(folder / "run.parquet", shards, trainer.events, finish=False, roll_bytes=roll)
    before = read_log(folder / "run.parquet")
    (writer,) = before.writers
    expected = (all_visits(before), before.marks(writer), before.summary(writer), before.run)

    # WHEN its parts are made
    assert finish_log(folder / "run.parquet") == 1

    # THEN reading them gives the same of everything, and the journals are gone
    after = read_log(folder / "run.parquet")
    assert (all_visits(after), after.marks(writer), after.summary(writer), after.run) == expected
    assert after.writers == before.writers
    assert not list(folder.glob("*/*.journal"))
    assert not list(folder.glob("*/*.tmp"))
    assert finish_log(folder / "run.parquet") == 0


def test_everybody_reads_a_finished_log(tmp_path: Path) -> None:
    # GIVEN a finished log of two ranks
    path = tmp_path / "run.parquet"
    for rank in range(2):
        write_log(path, SHARDS, [batch(rank), mark(MarkKind.CLOSED, "")], rank=rank, world_size=2)
    columns = [c.name for c in VISITS]
    expected = [["train", 0, rank, 1, -1, -1, -1, -1, rank, -1, 0, 1, 0, 10 * rank + 2 * i, 1] for rank, i in
                ((0, 0), (0, 1), (1, 0), (1, 1))]  # fmt: skip

    # THEN pandas, DuckDB and Polars read the folder as it is
    frame = pd.read_parquet(path)
    assert frame.columns.tolist() == columns
    assert frame.astype({"split": str}).to_numpy().tolist() == expected
    with duckdb.connect() as database:
        rows = database.execute(f"select * from '{path}/*.parquet' order by rank, row").fetchall()
    assert [list(r) for r in rows] == expected
    lazy = pl.read_parquet(path).sort("rank", "row")
    assert [list(r) for r in lazy.rows()] == expected

    # THEN each column says what it means
    schema = pq.read_schema(next(path.iterdir()))
    assert {f.name: f.metadata[b"comment"].decode() for f in schema} == {c.name: c.meaning for c in VISITS}


def test_a_live_writer_is_left_alone(tmp_path: Path) -> None:
    log = open_log(tmp_path / "run.parquet", run_id="r", **OPEN)
    journal = Journal(log.state, log.stem)
    log.declare((), {})
    write_events(journal, [Consumed("train", 1)], ["train"])

    # WHEN somebody reports meanwhile
    assert finish_log(log.path) == 0
    assert finish_writer(log.state, log.stem) == 0
    assert read_log(log.path).run.writers[0].live

    # WHEN it is over
    journal.close()
    assert finish_writer(log.state, log.stem) == 1
    assert not read_log(log.path).run.writers[0].live
    log.close()


def test_a_torn_journal_is_converted_and_remembered(tmp_path: Path) -> None:
    path = tmp_path / "run.parquet"
    log = write_log(path, SHARDS, [batch(0), batch(1)], finish=False)
    journal = log.state / f"{log.stem}-00000.journal"
    journal.write_bytes(journal.read_bytes()[:-5])
    before = read_log(path).run

    finish_log(path)

    after = read_log(path)
    assert after.run == before
    assert [(w.state, w.torn) for w in after.run.writers] == [("open", True)]
    assert all_visits(after)["batch"] == [0, 0]


@pytest.mark.parametrize("n_moved", [0, 1, 2, 3])
@pytest.mark.parametrize("n_deleted", [0, 1])
def test_an_interrupted_conversion_is_finished_by_the_next(tmp_path: Path, n_moved: int, n_deleted: int) -> None:
    # GIVEN a log of three journals, some of whose parts are in place (journals go only after the last part)
    path = tmp_path / "run.parquet"
    log = write_log(path, SHARDS, [batch(n, size=4) for n in range(3)], finish=False, roll_bytes=1)
    journals = sorted(log.state.glob("*.journal"))[:3]
    kept = {j: j.read_bytes() for j in log.state.glob("*.journal")}
    expected = all_visits(read_log(path))
    finish_log(path)
    parts = sorted(path.iterdir())
    everything = len(parts)
    for part in parts[n_moved:] if n_moved < 3 else []:
        part.unlink()
    complete = n_moved == 3
    for journal, data in kept.items():
        if not (complete and journal in journals[:n_deleted]):
            journal.write_bytes(data)

    # THEN it reads the same before and after it is finished
    assert all_visits(read_log(path)) == expected
    finish_log(path)
    assert all_visits(read_log(path)) == expected
    assert len(list(path.iterdir())) == everything
    assert not list(log.state.glob("*.journal"))


def test_a_shuffled_run_is_small(tmp_path: Path) -> None:
    # GIVEN a million rows once, shuffled over everything, in batches of 256
    n = 1_000_000
    order = np.random.default_rng(0).permutation(n)
    events: list[Event] = [
        Batch("train", i, BatchRows(len(ids), ids=ids), 1) for i, ids in enumerate(np.split(order, range(256, n, 256)))
    ]
    write_log(tmp_path / "run.parquet", Shards((Shard("a", n),)), events)

    # THEN it costs at most 1.10 times what the order itself costs
    size = sum(p.stat().st_size for p in (tmp_path / "run.parquet").iterdir())
    assert size / (math.lgamma(n + 1) / math.log(2) / 8) < 1.10


def test_slices_cost_next_to_nothing(tmp_path: Path) -> None:
    n = 1_000_000
    events: list[Event] = [
        Batch("train", i, BatchRows(256, ids=np.arange(256 * i, 256 * i + 256)), 1) for i in range(n // 256)
    ]
    write_log(tmp_path / "run.parquet", Shards((Shard("a", n),)), events)

    assert sum(p.stat().st_size for p in (tmp_path / "run.parquet").iterdir()) / n < 0.02


def test_what_cannot_be_written_leaves_the_journals(tmp_path: Path) -> None:
    path = tmp_path / "run.parquet"
    log = write_log(path, SHARDS, [batch(0)], finish=False)
    path.write_text("in the way")

    with pytest.raises(LogError) as caught:
        finish_log(path)

    assert caught.value.slug == "unwritable-log"
    assert [p.name for p in log.state.iterdir() if p.name.endswith((".journal", ".tmp"))] == [
        f"{log.stem}-00000.journal"
    ]
