"""What a writer declares comes back out of its JSON file as it went in."""

from __future__ import annotations

import json
from typing import Any, get_args

from hypothesis import given
from hypothesis import strategies as st

from coverage_audit.model.contract import Contract, Kind, Per
from coverage_audit.model.rows import RowSet
from coverage_audit.model.run import RunInfo, SplitInfo, Writer, WriterEnd

counts = st.none() | st.integers(1, 10**9)
selections = st.none() | st.builds(RowSet.of_ids, st.lists(st.integers(0, 50)))
contracts = st.builds(
    Contract, kind=st.sampled_from(get_args(Kind)), per=st.sampled_from(get_args(Per)), explicit=st.booleans()
)


@given(
    st.builds(
        SplitInfo, name=st.text(min_size=1), fingerprint=st.none() | st.text("0123456789abcdef", min_size=16),
        selected=selections, contract=contracts, batch_size=counts, steps_per_epoch=counts, epochs=counts,
    )
)  # fmt: skip
def test_a_split_as_json_and_back(split: SplitInfo) -> None:
    facts: dict[str, Any] = json.loads(json.dumps(split.to_json()))
    assert SplitInfo.from_json(split.name, facts) == split


def test_a_selection_of_no_row_is_not_the_same_as_no_selection() -> None:
    empty, none = SplitInfo("a", selected=RowSet.empty()), SplitInfo("a", selected=None)
    assert (empty.to_json()["selected"], none.to_json()["selected"]) == ([], None)
    assert SplitInfo.from_json("a", empty.to_json()) != SplitInfo.from_json("a", none.to_json())


def test_names_of_writers_sort_as_they_count() -> None:
    assert Writer(0, 0, 1).name == "a000-r0000-p0001"
    assert Writer(12, 34, 567).name == "a012-r0034-p0567"


def test_attempts_and_ranks_of_a_run() -> None:
    """GIVEN two ranks of one attempt and one rank of the next WHEN counted THEN each once."""
    places = ((0, 0, 1), (0, 1, 1), (1, 0, 1), (1, 0, 2))
    run = RunInfo("run.parquet", "id", tuple(WriterEnd(Writer(*place), "closed") for place in places))
    assert (run.attempts, run.ranks) == (2, 2)
