"""The one number never lies."""

from __future__ import annotations

from dataclasses import replace

import pytest
import story

from coverage_audit.model.run import SplitInfo
from coverage_audit.reporters import total
from coverage_audit.result import AuditResult

SHARDS = story.shards_of(*story.STORY)
PASS = story.slices(SHARDS, 64)


def result_of(*splits: story.SplitCounts) -> AuditResult:
    return AuditResult(story.run_info(), tuple(story.judged(s) for s in splits), ())


def test_row_epochs_seen_per_row_epoch_promised() -> None:
    # 3 epochs of 3,190 rows, 186 row-epochs missed: 9,384 of 9,570
    assert total.render(story.short_epochs()) == "98.05\n"
    assert total.render(story.clean()) == "100\n"


def test_epochs_so_far_do_not_count() -> None:
    assert total.render(story.clean(last=5)) == "100\n"


@pytest.mark.parametrize(
    ("per", "text"),
    # 6 epochs of 10 steps see 640, 616, 640, 617, 619 and 634 rows of 3,190; together one pass and 9 batches.
    [("epoch", "19.67\n"), ("pass", "100\n"), ("run", "100\n")],
)
def test_the_contract_says_per_what(per: str, text: str) -> None:
    counts = story.counted(SHARDS, PASS, 10, 6, info=story.with_contract("exactly-once", per))
    assert total.render(result_of(counts)) == text


@pytest.mark.parametrize(
    "counts",
    [
        story.counted(None, PASS, 5, 1),
        story.counted(SHARDS, PASS, 50, 1, last=5),
        story.counted(SHARDS, PASS, 50, 0, info=story.with_contract("exactly-once", "run")),
        story.counted(story.shards_of(("empty.npy", 0)), PASS, 0, 1),
    ],
    ids=["no dataset", "no complete epoch", "no steps", "no rows"],
)
def test_nothing_measured_is_no_number(counts: story.SplitCounts) -> None:
    whole = story.counted(SHARDS, PASS, 51, 1, info=SplitInfo("validation"))
    assert total.render(result_of(counts)) == "nan\n"
    assert total.render(result_of(whole, counts)) == "nan\n", "a split that was measured does not hide one that was not"


def test_no_splits() -> None:
    assert total.render(AuditResult(story.run_info(), (), ())) == "nan\n"


def test_one_row_missed_of_many_is_not_100() -> None:
    big = story.shards_of(("x.npy", 10**6))
    counts = story.counted(big, [range(1, 10**6)], 1, 1)
    assert total.render(result_of(counts)) == "99.99\n"
    assert total.render(result_of(replace(counts, epochs=(counts.epochs[0],) * 2))) == "99.99\n"
