"""Grain's pipelines, against the rows that their batches hold; the twins of all kinds of pipelines against Grain."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grain
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import coverage_audit as ca
from coverage_audit.adapters.grain_ids import make_twin
from coverage_audit.adapters.grain_positions import NoTwinError
from coverage_audit.errors import RecordingWarning
from coverage_audit.testing.adapter_contract import AdapterContract
from coverage_audit.testing.recorded import recorded_batches

ROWS = 40


class Numbers:
    """A source of its own row numbers. ``first``: what they begin at."""

    def __init__(self, first: int = 0, rows: int = ROWS) -> None:
        self.first = first
        self.rows = rows

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, index: int) -> Any:
        return {"row": np.int64(self.first + index)}

    def __repr__(self) -> str:
        return f"Numbers({self.first}, {self.rows})"


def same(element: Any) -> Any:
    return element


class Same(grain.transforms.Map):
    def map(self, element: Any) -> Any:
        return element


class Even(grain.transforms.Filter):
    def filter(self, element: Any) -> bool:
        return bool(element["row"] % 2 == 0)


def data_loader(**options: Any) -> grain.DataLoader:
    shuffled = grain.samplers.IndexSampler(ROWS, shuffle=True, num_epochs=1, seed=5)
    wanted = {"sampler": shuffled, "operations": [Same(), grain.transforms.Batch(6)], "worker_count": 0, **options}
    return grain.DataLoader(data_source=Numbers(), **wanted)


class OfGrain(AdapterContract):
    rows = ROWS

    def rows_in(self, batch: Any) -> list[int]:
        return list(np.atleast_1d(batch["row"]).tolist())


class TestDataLoader(OfGrain):
    def make_loader(self) -> Any:
        return data_loader()


class TestMapDataset(OfGrain):
    def make_loader(self) -> Any:
        return grain.MapDataset.source(Numbers()).seed(3).shuffle().map(same).batch(7)


class TestIterDataset(OfGrain):
    def make_loader(self) -> Any:
        return grain.MapDataset.source(Numbers()).shuffle(seed=3).to_iter_dataset().map(same).batch(7)


class TestElementsWithoutBatches(OfGrain):
    def make_loader(self) -> Any:
        return grain.MapDataset.source(Numbers()).shuffle(seed=3)


class TestIdsOfAFilteredPipeline(OfGrain):
    """What no index tells, the batch may say itself."""

    options = {"ids": lambda batch: batch["row"]}  # noqa: RUF012 - as the contract declares it

    def make_loader(self) -> Any:
        return grain.MapDataset.source(Numbers()).shuffle(seed=3).to_iter_dataset().filter(Even()).batch(7)


def recorded(folder: Path, loader: Any, **options: Any) -> Any:
    return ca.wrap(loader, ca.Dataset.of(ROWS, name="rows"), folder / "run.parquet", **options)


def rows_of(batch: Any) -> tuple[int, ...]:
    return tuple(np.atleast_1d(batch["row"]).tolist())


def log_of(folder: Path, loader: Any) -> list[Any]:
    loader.recorder.close()
    return recorded_batches(folder / "run.parquet")


class TestStates:
    """get_state and set_state, of the same iterator and of another one."""

    @pytest.mark.parametrize(
        "make",
        [
            data_loader,
            lambda: grain.MapDataset.source(Numbers()).shuffle(seed=3).batch(7),
            lambda: (
                grain.MapDataset.source(Numbers()).shuffle(seed=3).to_iter_dataset().random_map(first, seed=1).batch(7)
            ),
        ],
    )
    def test_rows_after_a_restart_are_those_that_come(self, make: Callable[[], Any], tmp_path: Path) -> None:
        """GIVEN a state after two batches WHEN it is set in a new iterator THEN what comes is recorded as it is."""
        loader = recorded(tmp_path, make())
        iterator = iter(loader)
        truth = [rows_of(next(iterator)) for _ in range(2)]
        state = iterator.get_state()
        truth.append(rows_of(next(iterator)))
        again = iter(loader)
        again.set_state(state)
        truth += [rows_of(batch) for batch in again]
        log = log_of(tmp_path, loader)
        assert [batch.rows for batch in log] == truth
        assert truth[3] == truth[2], "the restarted iterator begins where the state was taken"
        assert [batch.pass_ for batch in log] == [0] * 3 + [-1] * (len(truth) - 3)

    def test_going_back_within_an_iteration(self, tmp_path: Path) -> None:
        loader = recorded(tmp_path, data_loader())
        iterator = iter(loader)
        start = iterator.get_state()
        truth = [rows_of(next(iterator)) for _ in range(3)]
        iterator.set_state(start)
        truth += [rows_of(batch) for batch in iterator]
        log = log_of(tmp_path, loader)
        assert [batch.rows for batch in log] == truth
        assert [batch.pass_ for batch in log] == [0] * 3 + [1] * 7

    def test_an_iterator_is_recorded_from_where_it_stands(self, tmp_path: Path) -> None:
        iterator = iter(data_loader())
        next(iterator)
        proxy = recorded(tmp_path, iterator)
        truth = [rows_of(batch) for batch in proxy]
        assert [batch.rows for batch in log_of(tmp_path, proxy)] == truth
        assert len(truth) == 6


def first(element: Any, _: Any) -> Any:
    return element


class TestUnknown:
    """Rows that indices do not tell are unknown, never guessed."""

    def test_a_filter_leaves_rows_unknown_and_says_what_to_do(self, tmp_path: Path) -> None:
        filtered = grain.MapDataset.source(Numbers()).to_iter_dataset().filter(Even()).batch(7)
        loader = recorded(tmp_path, filtered)
        with pytest.warns(RecordingWarning, match="FilterIterDataset may choose elements by what they hold; give ids="):
            batches = [rows_of(batch) for batch in loader]
        log = log_of(tmp_path, loader)
        assert [batch.rows for batch in log] == [None] * len(batches)

    def test_a_map_that_drops_an_element_is_noticed(self, tmp_path: Path) -> None:
        """GIVEN a map that gives None once WHEN its batch comes THEN that batch is unknown and the others are right."""
        dropping = grain.MapDataset.source(Numbers()).map(without_nine).to_iter_dataset().batch(8)
        loader = recorded(tmp_path, dropping)
        with pytest.warns(RecordingWarning, match="the pipeline does not stand where its indices say"):
            truth: list[Any] = [rows_of(batch) for batch in loader]
        log = log_of(tmp_path, loader)
        assert truth[1] == (8, 10, 11, 12, 13, 14, 15, 16)
        truth[1] = None
        assert [batch.rows for batch in log] == truth

    def test_after_an_exception_rows_are_unknown(self, tmp_path: Path) -> None:
        failing = grain.MapDataset.source(Numbers()).map(fail_at_nine).to_iter_dataset().batch(4)
        loader = recorded(tmp_path, failing)
        iterator = iter(loader)
        truth: list[Any] = [rows_of(next(iterator)) for _ in range(2)]
        with pytest.raises(ValueError, match="nine"):
            next(iterator)
        with pytest.warns(RecordingWarning, match="an element raised an exception"):
            next(iterator)
        log = log_of(tmp_path, loader)
        assert [batch.rows for batch in log] == [*truth, None]

    def test_a_source_of_another_length_is_not_the_data(self, tmp_path: Path) -> None:
        loader = recorded(tmp_path, grain.MapDataset.source(Numbers(rows=20)).batch(5))
        with pytest.warns(RecordingWarning, match="the sources have 20 elements and the declared data 40 rows"):
            batches = list(loader)
        log = log_of(tmp_path, loader)
        assert len(batches) == 4
        assert [batch.rows for batch in log] == [None] * 4


def without_nine(element: Any) -> Any:
    return None if element["row"] == 9 else element


def fail_at_nine(element: Any) -> Any:
    if element["row"] == 9:
        raise ValueError("nine")
    return element


class TestPasses:
    def test_a_pipeline_that_repeats_tells_no_passes(self, tmp_path: Path) -> None:
        loader = recorded(tmp_path, grain.MapDataset.source(Numbers()).shuffle(seed=1).repeat(2).batch(10))
        truth = [rows_of(batch) for batch in loader]
        log = log_of(tmp_path, loader)
        assert [(batch.rows, batch.pass_) for batch in log] == [(rows, -1) for rows in truth]

    def test_endless_repeats_are_recorded_as_far_as_they_are_pulled(self, tmp_path: Path) -> None:
        loader = recorded(
            tmp_path, grain.MapDataset.source(Numbers()).shuffle(seed=1).repeat().to_iter_dataset().batch(10)
        )
        truth = [rows_of(batch) for batch in itertools.islice(loader, 9)]
        assert [batch.rows for batch in log_of(tmp_path, loader)] == truth

    def test_shards_of_two_ranks_are_the_rows_of_each(self, tmp_path: Path) -> None:
        shards = grain.sharding.ShardOptions(shard_index=1, shard_count=2)
        sampler = grain.samplers.IndexSampler(ROWS, shuffle=True, num_epochs=1, seed=2)
        loader = recorded(tmp_path, data_loader(sampler=sampler, shard_options=shards))
        truth = [rows_of(batch) for batch in loader]
        assert sum(map(len, truth)) == ROWS // 2
        assert [batch.rows for batch in log_of(tmp_path, loader)] == truth

    def test_padding_is_no_row(self, tmp_path: Path) -> None:
        pad = functools.partial(grain.experimental.batch_and_pad, batch_size=12, pad_value=-1)
        loader = recorded(tmp_path, grain.MapDataset.source(Numbers()).batch(12, batch_fn=pad))
        truth = [rows_of(batch) for batch in loader]
        assert truth[-1][4:] == (-1,) * 8
        truth[-1] = truth[-1][:4]
        assert [batch.rows for batch in log_of(tmp_path, loader)] == truth


SOURCE = Numbers()

maps = st.sampled_from(["shuffle", "window", "slice", "repeat", "map", "random_map", "with_index", "shard"])
iters = st.sampled_from(["map", "random_map", "with_index", "window", "limit", "repeat", "chunk"])


def rearranged(pipeline: Any, how: str) -> Any:
    made: dict[str, Callable[[Any], Any]] = {
        "shuffle": lambda p: p.shuffle(seed=7),
        "window": lambda p: grain.experimental.WindowShuffleMapDataset(p, window_size=15, seed=3),
        "slice": lambda p: p.slice(slice(1, None, 2)) if len(p) > 3 else p,
        "shard": lambda p: p[1::3] if len(p) > 3 else p,
        "repeat": lambda p: p.repeat(2, reseed_each_epoch=len(p) % 2 == 0) if len(p) < 200 else p,
        "map": lambda p: p.map(same),
        "random_map": lambda p: p.random_map(first, seed=1),
        "with_index": lambda p: p.map_with_index(second),
    }
    return made[how](pipeline)


def second(_: int, element: Any) -> Any:
    return element


def iterated(pipeline: Any, how: str) -> Any:
    made: dict[str, Callable[[Any], Any]] = {
        "window": lambda p: grain.experimental.WindowShuffleIterDataset(p, window_size=11, seed=3),
        "limit": lambda p: grain.experimental.LimitIterDataset(p, count=17),
        "repeat": lambda p: grain.experimental.RepeatIterDataset(p, 2),
        "map": lambda p: p.map(same),
        "random_map": lambda p: p.random_map(first, seed=1),
        "with_index": lambda p: p.map_with_index(second),
        "chunk": lambda p: p,
    }
    return made[how](pipeline)


def flat(element: Any) -> list[int]:
    return [element] if isinstance(element, int) else [int(each) for each in element]


class TestTwins:
    """The ids of a pipeline are the numbers of the elements that the pipeline itself gives, states included."""

    @settings(max_examples=30, deadline=None)
    @given(
        st.lists(maps, max_size=4), st.lists(iters, max_size=3), st.integers(0, 9), st.booleans(), st.integers(0, 30)
    )
    def test_any_rearrangement(self, before: list[str], after: list[str], batch: int, drop: bool, restart: int) -> None:
        pipeline = grain.MapDataset.source(SOURCE)
        for how in before:
            pipeline = rearranged(pipeline, how)
        pipeline = pipeline.to_iter_dataset(grain.ReadOptions(num_threads=1, prefetch_buffer_size=2))
        for how in after:
            pipeline = iterated(pipeline, how)
        if batch:
            pipeline = pipeline.batch(batch, drop_remainder=drop)
        real, twin = iter(pipeline), make_twin(pipeline).steps
        states = []
        for element in itertools.islice(real, 25):
            assert flat(next(twin)) == list(rows_of(element))
            assert twin.get_state() == real.get_state()
            states.append(twin.get_state())
        if states:
            state = states[restart % len(states)]
            again, twin = iter(pipeline), make_twin(pipeline).steps
            again.set_state(state)
            twin.set_state(state)
            assert [flat(e) for e in rest(twin, 25)] == [list(rows_of(e)) for e in itertools.islice(again, 25)]

    def test_mixtures_number_their_sources_one_after_the_other(self) -> None:
        parts = [grain.MapDataset.source(Numbers()), grain.MapDataset.source(Numbers(ROWS, 9)).shuffle(seed=1)]
        for pipeline in (grain.MapDataset.mix(parts, [0.6, 0.4]), grain.MapDataset.concatenate(parts)):
            twin = make_twin(pipeline)
            assert [flat(e) for e in rest(twin.steps)] == [list(rows_of(e)) for e in pipeline]
            assert twin.sources == ROWS + 9

    @pytest.mark.parametrize(
        "pipeline",
        [
            grain.MapDataset.source(SOURCE).filter(Even()),
            grain.MapDataset.range(3, 9),
            grain.experimental.CacheIterDataset(grain.MapDataset.source(SOURCE).to_iter_dataset()),
        ],
    )
    def test_what_has_no_twin(self, pipeline: Any) -> None:
        with pytest.raises(NoTwinError):
            make_twin(pipeline)


def rest(twin: Any, most: int = 60) -> Iterator[Any]:
    for _ in range(most):
        try:
            yield next(twin)
        except StopIteration:
            return


class Reversed:
    """A source that gives the rows of a file from its end."""

    def __init__(self, path: Path) -> None:
        self.array = np.load(path, mmap_mode="r")

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, index: int) -> Any:
        return self.array[len(self.array) - 1 - index]


def test_a_source_in_another_order_than_the_data_is_found_out(tmp_path: Path) -> None:
    """GIVEN files read in another order than declared WHEN a batch remembers its rows THEN these are recorded."""
    np.save(tmp_path / "x.npy", np.arange(ROWS * 3, dtype=np.float64).reshape(ROWS, 3))
    data = ca.Dataset.open(tmp_path / "x.npy")
    recorder_of_reads = ca.wrap(iter([]), data, tmp_path / "run.parquet", split="other")
    pipeline = grain.MapDataset.source(Reversed(tmp_path / "x.npy")).to_iter_dataset(
        grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)
    )
    loader = ca.wrap(pipeline.batch(8), data, tmp_path / "run.parquet")
    with pytest.warns(RecordingWarning, match="the elements of the source are other rows of the data"):
        truth = [tuple(int(row[0]) // 3 for row in batch) for batch in loader]
    recorder_of_reads.recorder.close()
    assert [batch.rows for batch in log_of(tmp_path, loader)] == truth
    assert truth[0] == (39, 38, 37, 36, 35, 34, 33, 32)
