"""An index of a sampler is what it was when it was given, whatever becomes of the list."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import coverage_audit as ca
from coverage_audit.adapters.torch_given import NOTHING, Given
from coverage_audit.adapters.torch_plan import Plan
from coverage_audit.adapters.torch_watch import Watch
from coverage_audit.errors import RecordingWarning


def test_a_list_that_the_dataset_took_apart_is_what_was_asked_for() -> None:
    index = [4, 2, 9]
    given = Given(index)

    index.clear()

    assert given.in_this_process() == [4, 2, 9]


def test_a_list_that_the_dataset_sorted_is_in_the_order_of_the_batch() -> None:
    index = [4, 2, 9]
    given = Given(index)

    index.sort()

    assert given.in_this_process() == [2, 4, 9]


def test_a_list_that_the_sampler_filled_anew_may_have_reached_the_worker_so() -> None:
    """GIVEN a sampler with one list for all batches THEN nobody knows which positions the worker got."""
    index, array = [4, 2, 9], np.array([4, 2, 9])
    given = [Given(index), Given(array)]
    assert [list(one.in_a_worker()) for one in given] == [[4, 2, 9], [4, 2, 9]]

    index[:] = array[:] = [5, 1, 0]

    assert [one.in_a_worker() for one in given] == [NOTHING, NOTHING]


class Raising:
    def taker(self) -> Any:
        raise RuntimeError("the frames of this Keras are others")


@pytest.mark.parametrize("error", [StopIteration(), ValueError("of the dataset")])
def test_a_failure_in_telling_the_end_is_not_the_loops(tmp_path: Path, error: Exception) -> None:
    recorder = ca.Recorder(tmp_path / "run.parquet", ca.Dataset.of(4))
    watch = Watch(Plan(recorder.stream, feed=Raising()))  # type: ignore[arg-type]
    with pytest.warns(RecordingWarning, match="the frames of this Keras are others"):
        watch.over(error)
    recorder.close()
