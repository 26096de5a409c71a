"""Steps in the message are those of a rank, as everywhere else."""

from __future__ import annotations

from coverage_audit.rules._rule import find_rule
from coverage_audit.testing.runs import Run, Step, count_runs, shards_of


def test_steps_of_several_ranks_are_not_summed() -> None:
    """GIVEN two ranks that took 3 and 2 steps of an epoch that did not end."""
    shards = shards_of(40)
    steps = [[Step([4 * (2 * i + rank)], epoch=0) for i in range(3 - rank)] for rank in range(2)]
    runs = [Run(shards, own, rank=rank, world_size=2, open_epochs=frozenset({0})) for rank, own in enumerate(steps)]
    (found,) = find_rule("CA901").check(count_runs(*runs))
    assert found.message == "no complete epoch was recorded: 3 steps so far"
    assert found.numbers == {"steps": 3}
