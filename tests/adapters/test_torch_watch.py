"""An index of a sampler is what it was when it was given, whatever becomes of the list."""

from __future__ import annotations

import numpy as np

from coverage_audit.adapters.torch_watch import NOTHING, Given


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
