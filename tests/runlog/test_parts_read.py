"""Reading parts: columns of one value are known by their statistics, and what is read is the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_trainer import Source, Trainer, batch, mark

from coverage_audit.model.event import MarkKind
from coverage_audit.model.shards import Shard, Shards
from coverage_audit.runlog.parts import finish_log
from coverage_audit.runlog.reader import read_log
from coverage_audit.runlog.visits import Visits
from coverage_audit.testing.logs import write_log

SHARDS = Shards((Shard("a", 90), Shard("b", 10_000)))


def visits_of(path: Path) -> list[Visits]:
    log = read_log(path)
    return [v for writer in log.writers for v in log.visits(writer)]


def columns_of(path: Path) -> dict[str, list[int]]:
    whole = Visits.concat(visits_of(path))
    return {name: getattr(whole, name).tolist() for name in Visits.ARRAYS}


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n_steps=st.integers(1, 7),
    group=st.sampled_from([1, 2, 5, 10**6]),
    statistics=st.sampled_from([True, False, ["epoch", "split", "shard"]]),
)
def test_visits_are_the_same_however_parts_are_cut_into_row_groups(
    tmp_path_factory: pytest.TempPathFactory, seed: int, n_steps: int, group: int, statistics: bool | list[str]
) -> None:
    # GIVEN the parts of a run of two splits
    trainer = Trainer(seed=seed, lead=6)
    held = Source("validation", 5, trainer.events)
    trainer.fit(Source("train", None, trainer.events), n_steps, 3, held, 2)
    path = tmp_path_factory.mktemp("log") / "run.parquet"
    shards = {"train": SHARDS, "validation": Shards((Shard("v", 60),))}
    write_log(path, shards, trainer.events, finish=False)
    expected = columns_of(path)
    finish_log(path)

    # WHEN their row groups are of another length, with or without statistics
    for part in path.iterdir():
        table = pq.read_table(part).replace_schema_metadata(pq.read_metadata(part).metadata)
        pq.write_table(table, part, row_group_size=group, write_statistics=statistics)

    # THEN the visits are those of the journals
    assert columns_of(path) == expected


def test_a_column_of_one_value_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "run.parquet"
    write_log(path, SHARDS, [batch(0), batch(1), mark(MarkKind.CLOSED, "")])

    (visits,) = visits_of(path)

    assert [name for name in Visits.ARRAYS if getattr(visits, name).strides != (0,)] == ["batch", "row"]
    assert visits.count.tolist() == [1, 1, 1, 1]
    assert visits.count.dtype == np.int32
