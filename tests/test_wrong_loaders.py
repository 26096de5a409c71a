"""Wrong loaders as users write them, recorded for real: what is named, in order, and what it explains.

Each story gives the findings above a note, (missed, repeated, unexplained) row-epochs, the first finding's message and
its fix.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loader_runs import SIZES, B, N, cut, cycle, pull, record, save_shards, train
from wrong_loaders import (
    Make,
    all_twice,
    anew,
    another_shard_missed,
    at_random,
    begun_again,
    breaks_too_late,
    buffer_not_emptied,
    carry_over,
    finite,
    fixed,
    from_row_100,
    full_batches,
    full_batches_of_shards,
    generator,
    ids_from_1,
    ids_in_shards,
    looked_at_first,
    no_last_batch,
    no_small_batches,
    of_several_lengths,
    on_3200,
    repeated_first,
    rng,
    shard_1_for_2,
    shard_1_twice,
    shard_3_doubled,
    shuffle,
    slices,
    some_rows_twice,
    used_up,
    without_every_third_row,
    without_last_rows,
    without_row_0,
    without_shard_3,
)

import coverage_audit as ca
from coverage_audit.model.finding import Severity

AN_EXCLUSIVE_BOUND = (
    "look at where the loader stops, 1 row too early: an exclusive bound one too small, such as range(n - 1) or x[:-1]"
)
NO_BATCH_TOO_MANY = (
    "train in one fit() call, or give each call a fresh iterator; in a loop of your own leave before the next batch is "
    "taken: itertools.islice(loader, steps)"
)
STORIES: dict[str, tuple[Make, str, tuple[int, int, int], str, str]] = {
    "the last row of each shard": (
        generator(without_last_rows, 51), "CA106 · CA606 warns", (12, 0, 0),
        "the same 4 rows missed in all 3 epochs",
        AN_EXCLUSIVE_BOUND,
    ),
    "the last row of each shard, anew": (
        anew(without_last_rows), "CA106 · CA606 warns", (12, 0, 0),
        "the same 4 rows missed in all 3 epochs",
        AN_EXCLUSIVE_BOUND,
    ),
    "the first row of the data": (
        generator(without_row_0, 50), "CA106", (3, 0, 0),
        "the same 1 row missed in all 3 epochs",
        "look at where the loader begins: at row 1 instead of row 0",
    ),
    "ids that count from 1": (
        generator(ids_from_1, 50), "CA903 · CA106", (3, 0, 0),
        "3 visits outside 0..3189: id 3190",
        "subtract 1: ids count from 0",
    ),
    "ids that count inside each shard": (
        generator(ids_in_shards, 51), "CA105", (6561, 6561, 0),
        "no id above 1,002 ever came, and the lower ones come once for every shard that long",
        "add the number of rows of the shards before it to each id, or give (shard, row) pairs",
    ),
    "ids that count inside each shard, anew": (
        anew(ids_in_shards), "CA105 · CA606 warns", (6561, 6561, 0),
        "no id above 1,002 ever came, and the lower ones come once for every shard that long",
        "add the number of rows of the shards before it to each id, or give (shard, row) pairs",
    ),
    "shards opened at row 100": (
        generator(from_row_100, 51), "CA106 · CA602 warns · CA603 warns · CA606 warns", (1926, 1494, 0),
        "the same 400 rows missed in all 3 epochs",
        "look at where the loader begins: at row 100 instead of row 0",
    ),
    "shards opened at row 100, anew": (
        anew(from_row_100), "CA106 · CA606 warns", (1200, 0, 0),
        "the same 400 rows missed in all 3 epochs",
        "look at where the loader begins: at row 100 instead of row 0",
    ),
    "one bound too strict": (
        on_3200(generator(no_last_batch, 50)), "CA103 · CA602 warns · CA603 warns", (364, 364, 0),
        "each pass drops its last batch of 64 rows, a full one: 3,200 is a multiple of 64",
        "look at the bound of the loop over batches: range(0, n, B), not range(0, n - B, B)",
    ),
    "one bound too strict, steps as the loader": (
        on_3200(generator(no_last_batch, 49)), "CA103", (192, 0, 0),
        "each pass drops its last batch of 64 rows, a full one: 3,200 is a multiple of 64",
        "look at the bound of the loop over batches: range(0, n, B), not range(0, n - B, B)",
    ),
    "one bound too strict, anew": (
        on_3200(anew(no_last_batch)), "CA103", (192, 0, 0),
        "each pass drops its last batch of 64 rows, a full one: 3,200 is a multiple of 64",
        "look at the bound of the loop over batches: range(0, n, B), not range(0, n - B, B)",
    ),
    "full batches only": (
        generator(full_batches, 50), "CA103 · CA602 warns · CA603 warns", (335, 365, 0),
        "each pass drops its last 54 rows: 3,190 mod 64 = 54",
        "keep the last partial batch, or declare contract='drop-remainder'",
    ),
    "full batches only, anew": (
        anew(full_batches), "CA103", (162, 0, 0),
        "each pass drops its last 54 rows: 3,190 mod 64 = 54",
        "keep the last partial batch, or declare contract='drop-remainder'",
    ),
    "full batches of each shard": (
        generator(full_batches_of_shards, 50), "CA104 · CA602 warns · CA603 warns", (1122, 1152, 0),
        "each shard drops its last n mod 64 rows, 182 rows a pass",
        "keep each shard's partial batch, or carry the rest of a shard over into the next batch",
    ),
    "full batches of each shard, anew": (
        anew(full_batches_of_shards), "CA104", (546, 0, 0),
        "each shard drops its last n mod 64 rows, 182 rows a pass",
        "keep each shard's partial batch, or carry the rest of a shard over into the next batch",
    ),
    "small batches left out": (
        generator(no_small_batches, 51), "CA106 · CA602 warns · CA603 warns", (948, 1152, 0),
        "the same 124 rows missed in all 3 epochs",
        "look at where the loader stops: a last batch left out",
    ),
    "small batches left out, anew": (
        anew(no_small_batches), "CA106", (372, 0, 0),
        "the same 124 rows missed in all 3 epochs",
        "look at where the loader stops: a last batch left out",
    ),
    "a shard listed twice": (
        generator(shard_1_twice, 66), "CA201 warns · CA202 warns", (0, 2811, 2811),
        "2,811 surplus visits in all 3 epochs, up to 2 visits of one row in an epoch",
        "see whether the loader lists x_001.npy twice, or repeats its rows",
    ),
    "a shard listed twice, anew": (
        anew(shard_1_twice), "CA201 warns · CA202 warns · CA606 warns", (0, 2811, 2811),
        "2,811 surplus visits in all 3 epochs, up to 2 visits of one row in an epoch",
        "see whether the loader lists x_001.npy twice, or repeats its rows",
    ),
    "a shard listed in place of another": (
        generator(shard_1_for_2, 50), "CA105", (3009, 2811, 0),
        "x_002.npy never opened: 1,003 rows",
        "compare the loader's list of files with the dataset's: x_001.npy stands there too often",
    ),
    "a shard listed in place of another, anew": (
        anew(shard_1_for_2), "CA105 · CA606 warns", (3009, 2811, 0),
        "x_002.npy never opened: 1,003 rows",
        "compare the loader's list of files with the dataset's: x_001.npy stands there too often",
    ),
    "a shard not listed": (
        generator(without_shard_3, 50), "CA105 · CA602 warns · CA603 warns", (1006, 1024, 0),
        "x_003.npy never opened: 250 rows",
        "compare the loader's list of files with the dataset's",
    ),
    "a shard not listed, steps as the loader": (
        generator(without_shard_3, 46), "CA105", (750, 0, 0),
        "x_003.npy never opened: 250 rows",
        "compare the loader's list of files with the dataset's",
    ),
    "another shard left out by each pass": (
        another_shard_missed, "CA105 · CA606 warns", (3190, 0, 0),
        "4 epochs went without a whole shard: x_000.npy, x_001.npy, x_002.npy and x_003.npy",
        "look at what changes the loader's list of files from pass to pass",
    ),
    "rows of one shard doubled": (
        generator(shard_3_doubled, 54), "CA201 warns · CA202 warns", (0, 750, 750),
        "750 surplus visits in all 3 epochs, up to 2 visits of one row in an epoch",
        "see whether the loader lists x_003.npy twice, or repeats its rows",
    ),
    "every shard listed twice, anew": (
        anew(all_twice), "CA201 warns · CA606 warns", (0, 9570, 9570),
        "9,570 surplus visits in all 3 epochs, up to 2 visits of one row in an epoch",
        "see whether the loader lists its files twice, or goes through them twice in one pass",
    ),
    "some rows listed twice, anew": (
        anew(some_rows_twice), "CA201 warns · CA202 warns", (0, 300, 300),
        "300 surplus visits in all 3 epochs, up to 2 visits of one row in an epoch",
        "see whether the loader's list of files or of rows holds these more than once",
    ),
    "every third row left out, anew": (
        anew(without_every_third_row), "CA106", (3189, 0, 0),
        "the same 1,063 rows missed in all 3 epochs",
        "look at what divides the data: a divisor too large, a part that nobody reads, a step in a slice",
    ),
    "a buffer that is not emptied": (
        anew(buffer_not_emptied), "CA101 · CA102 · CA202 warns", (900, 0, 900),
        "900 row-epochs missed in all 3 epochs",
        "look at what the loader skips, and how it ends a pass: a buffer never emptied, a batch never yielded",
    ),
    "one step too few": (
        generator(carry_over, 49), "CA601 · CA603 warns", (354, 172, 0),
        "49 steps, one pass needs ceil(3190 / 64) = 50",
        "steps_per_epoch = 50",
    ),
    "one step too few, anew": (
        anew(shuffle, at_most=49, steps_per_epoch=49), "CA601", (162, 0, 0),
        "49 steps, one pass needs ceil(3190 / 64) = 50",
        "steps_per_epoch = 50",
    ),
    "the textbook's steps": (
        generator(slices, 50), "CA601 · CA603 warns · CA606 warns", (333, 162, 0),
        "50 steps, one pass of this loader needs 51",
        "steps_per_epoch = 51, or carry the rest of a shard over into the next batch",
    ),
    "half a pass, anew": (
        anew(fixed, at_most=25, steps_per_epoch=25), "CA601", (4770, 0, 0),
        "25 steps, one pass needs ceil(3190 / 64) = 50",
        "steps_per_epoch = 50",
    ),
    "one step too many": (
        generator(carry_over, 51), "CA602 · CA603 warns", (192, 384, 0),
        "51 steps, one pass of this loader takes 50",
        "steps_per_epoch = 50",
    ),
    "one step too many for slices": (
        generator(slices, 52), "CA602 · CA603 warns · CA606 warns", (192, 384, 0),
        "52 steps, one pass of this loader takes 51",
        "steps_per_epoch = 51",
    ),
    "ten passes": (
        generator(carry_over, 500, 2), "CA602", (0, 57420, 0),
        "500 steps, one pass of this loader takes 50",
        "steps_per_epoch = 50",
    ),
    "steps that count rows": (
        generator(carry_over, N, 1), "CA602", (0, 200340, 0),
        "3,190 steps, one pass of this loader takes 50",
        "steps_per_epoch = 50",
    ),
    "epochs of several lengths": (
        of_several_lengths, "CA604 · CA603 warns", (2383, 2383, 0),
        "epochs 1 and 3 of another length than the others: 25 and 75 instead of 50 steps",
        "end epochs where a pass ends; an epoch stopped on purpose cannot be compared",
    ),
    "a generator that ends": (
        finite, "CA604", (4460, 0, 0),
        "epochs 1 and 2 cut short: 30 and 0 of 50 steps",
        "make the loader cycle for ever, or set steps_per_epoch to what one pass takes",
    ),
    "the same iterator each time": (
        used_up, "CA604", (6380, 0, 0),
        "epochs 1 and 2 cut short: 0 and 0 of 50 steps",
        "look at why the loader ends early: an iterator that is used up, a list of files that shrank",
    ),
    "an epoch begun again": (
        begun_again, "CA603 warns", (774, 784, 0),
        "epoch 1 begins the data anew after 20 of 50 steps",
        "iterate the loader once per epoch",
    ),
    "the loop breaks one batch too late": (
        breaks_too_late, "CA605 · CA603 warns", (186, 186, 0),
        "2 batches yielded and never trained on, in 2 places; later batches were",
        NO_BATCH_TOO_MANY,
    ),
    "a batch looked at first": (
        looked_at_first, "CA605", (189, 189, 0),
        "1 batch yielded and never trained on, in 1 place; later batches were",
        "look at a generator of its own, and train on a fresh one",
    ),
    "repeated before it is cut": (
        repeated_first, "CA607 warns", (60, 100, 0),
        "4 batches hold rows of two passes",
        "batch first, repeat afterwards",
    ),
    "drawn at random": (
        generator(at_random, 50), "CA203", (3488, 3518, 0),
        "an epoch of 3,200 draws leaves out 36 % of 3,190 rows and repeats others",
        "permute the rows once per pass, or declare contract='with-replacement'",
    ),
    "another batch size than declared": (
        generator(shuffle, 50, batch_size=32), "CA608 warns", (0, 0, 0),
        "batch_size=32 was declared, but all 150 batches are larger (most have 64 rows)",
        "declare batch_size=64, or leave it out",
    ),
}  # fmt: skip


@pytest.fixture
def data(tmp_path: Path) -> ca.Dataset:
    save_shards(tmp_path / "shards", SIZES)
    return ca.Dataset.open(tmp_path / "shards/*.npy")


def named(result: ca.AuditResult) -> str:
    """Errors by their code, warnings as 'CA606 warns', in the order of the report.

    Without those about order: most of these loaders read their shards one after the other (test_order_failures.py).
    """
    loud = [f for f in result.findings if f.severity is not Severity.INFO and not f.code.startswith("CA3")]
    return " · ".join(f.code if f.severity is Severity.ERROR else f"{f.code} warns" for f in loud)


@pytest.mark.parametrize("story", STORIES, ids=str)
def test_what_is_named(story: str, data: ca.Dataset, tmp_path: Path) -> None:
    make, expected, counted, message, fix = STORIES[story]
    result = ca.audit(make(tmp_path / "run.parquet", data))
    first, totals = result.findings[0], result.splits[0].totals
    assert (named(result), first.message, first.fix) == (expected, message, fix)
    assert (totals.missed, totals.repeated, totals.unexplained) == counted
    failing = totals.missed > 0 or any(f.severity is Severity.ERROR for f in result.findings)
    assert result.verdict is (ca.Verdict.FAIL if failing else ca.Verdict.PASS)


@pytest.mark.parametrize("story", STORIES, ids=str)
def test_what_is_claimed_is_there(story: str, data: ca.Dataset, tmp_path: Path) -> None:
    """What findings explain adds up, and no finding that explains nothing of its own is an error beside its cause."""
    result = ca.audit(STORIES[story][0](tmp_path / "run.parquet", data))
    totals = result.splits[0].totals
    assert sum(f.explained for f in result.findings) == totals.explained
    assert totals.explained + totals.unexplained == totals.missed + totals.repeated
    for finding in result.findings:
        for text in (finding.message, finding.cause, finding.fix):
            assert text == " ".join(text.split())
            assert not re.search(r"\b1 (rows|epochs|batches|times|steps|passes|visits)\b", text)


def test_the_rule_of_the_last_row_names_the_bound(data: ca.Dataset, tmp_path: Path) -> None:
    result = ca.audit(STORIES["the last row of each shard"][0](tmp_path / "run.parquet", data))
    assert result.findings[0].cause == "they are the last row of every shard: no epoch ever comes there"
    assert result.findings[0].ranges == (
        ("x_000.npy", 999, 1000), ("x_001.npy", 936, 937), ("x_002.npy", 1002, 1003), ("x_003.npy", 249, 250),
    )  # fmt: skip


def test_steps_that_fit_a_whole_pass_are_not_at_fault(data: ca.Dataset, tmp_path: Path) -> None:
    """GIVEN 50 steps, right for all rows WHEN the loader drops its remainder THEN the fix is in the loader."""
    result = ca.audit(STORIES["full batches only"][0](tmp_path / "run.parquet", data))
    (long,) = [f for f in result.findings if f.code == "CA602"]
    assert (long.severity, long.message, long.cause, long.fix) == (
        Severity.WARNING,
        "50 steps, one pass of this loader takes 49",
        "each epoch goes 1 batch into the next pass, as the loader's pass leaves rows out",
        "mend what the loader leaves out: steps_per_epoch = 50 is right for a pass over all rows",
    )


@pytest.mark.parametrize(
    ("options", "severity", "message"),
    [
        ({}, "warning", "the loader ended after 80 batches: 30 of 50 steps into epoch 1"),
        ({"epochs": 3}, "error", "the loader ended after 80 batches: 3 epochs of 50 steps take 150"),
    ],
)
def test_a_generator_that_ends_where_only_yields_are_known(
    options: dict[str, Any], severity: str, message: str, data: ca.Dataset, tmp_path: Path
) -> None:
    random = rng()
    loader = itertools.chain(shuffle(random), itertools.islice(shuffle(random), 30))
    result = ca.audit(pull(tmp_path / "run.parquet", data, loader, 50, **options))
    assert [(f.code, f.severity.value, f.message) for f in result.findings] == [("CA604", severity, message)]
    assert result.verdict is (ca.Verdict.FAIL if options else ca.Verdict.PASS)


def test_a_stream_nobody_can_cut_into_passes_is_not_given_a_length(data: ca.Dataset, tmp_path: Path) -> None:
    """GIVEN rows drawn at random WHEN the steps cannot hold all rows THEN that is said, and no length of a pass."""
    result = ca.audit(generator(at_random, 20)(tmp_path / "run.parquet", data))
    (short,) = [f for f in result.findings if f.code == "CA601"]
    assert (short.message, short.fix, short.explained) == (
        "20 steps cannot visit all rows, which take at least 50",
        "steps_per_epoch = 50 at least, and go through the data once per pass",
        0,
    )
    assert "CA602" not in [f.code for f in ca.audit(generator(at_random, 70)(tmp_path / "b.parquet", data)).findings]


def test_slices_that_begin_too_late(data: ca.Dataset, tmp_path: Path) -> None:
    """Read off the memory map: x[100:] of each shard."""
    paths = sorted((tmp_path / "shards").glob("*.npy"))

    def one_pass(_: int) -> Iterator[Any]:
        for path in paths:
            x = np.load(path, mmap_mode="r")[100:]
            for i in range(0, len(x), B):
                yield x[i : i + B], 0

    result = ca.audit(train(tmp_path / "run.parquet", data, cycle(one_pass), 47, ids=None))
    assert named(result) == "CA106 · CA606 warns"
    assert result.findings[0].ranges == tuple((p.name, 0, 100) for p in paths)


def test_validation_that_takes_turns(data: ca.Dataset, tmp_path: Path) -> None:
    """GIVEN a validation generator that runs on WHEN each evaluation takes fewer batches than a pass THEN others are
    judged each time."""
    batches = [list(cut(np.arange(320)))[i % 5] for i in range(12)]
    held_out = ca.Dataset.of(320, name="held out")
    log = record(
        tmp_path / "run.parquet", held_out, [batches[e * 4 : e * 4 + 4] for e in range(3)],
        batch_size=B, steps_per_epoch=4, split="validation",
    )  # fmt: skip
    result = ca.audit(log)
    assert (result.verdict, named(result)) == (ca.Verdict.FAIL, "CA601 · CA603 warns")
    assert result.findings[0].fix == "steps_per_epoch = 5"
