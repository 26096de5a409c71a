"""What the terminal says, to the letter, and never wider than the page."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import story
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from coverage_audit.model.event import Found
from coverage_audit.model.finding import Severity
from coverage_audit.model.run import SplitInfo
from coverage_audit.reporters import terminal, view_sentences
from coverage_audit.result import AuditResult, Verdict

ESCAPE = "\x1b"


def test_the_story_of_the_short_epoch() -> None:
    assert terminal.render(story.short_epochs()) == (
        "coverage-audit  run.parquet · train · 3 epochs · 3,190 rows in 4 shards ·\n"
        "        trained steps (told by the trainer)\n"
        "\n"
        "  epoch  steps  needed  visited  unique  missed  repeated  starts at\n"
        "      0     50      51    3,132   3,132      58         0  batch 0 of pass 0\n"
        "      1     50      51    3,126   3,126      64         0  batch 50 of pass 0\n"
        "      2     50      51    3,126   3,126      64         0  batch 49 of pass 1\n"
        "  over the run: every row seen 2 to 3 times, never seen 0\n"
        "\n"
        "FAIL  CA601 short-epoch   50 steps, one pass of this loader needs 51\n"
        "        ceil(3190 / 64) = 50 is right for a loader that fills every batch; this\n"
        "        one ends each shard with a partial batch (CA606), so a pass takes\n"
        "        ceil(n / 64) per shard: 16 + 15 + 16 + 4 = 51\n"
        "        explains all 186 missed row-epochs · first: x_3.npy 192–249 (epoch 0)\n"
        "        fix: steps_per_epoch = 51, or carry the rest of a shard over into the\n"
        "             next batch\n"
        "warn  CA603 drifting-epochs   each epoch starts one batch earlier in the pass\n"
        "next: coverage-audit explain CA601 ·\n"
        "      coverage-audit report run.parquet --figures figures\n"
    )


def test_a_pass_says_what_was_checked() -> None:
    assert terminal.render(story.clean(), width=100) == (
        "coverage-audit  run.parquet · train · 3 epochs · 3,190 rows in 4 shards ·\n"
        "        trained steps (told by the trainer)\n"
        "\n"
        "  epoch   steps   needed   visited   unique   missed   repeated   starts at\n"
        "      0      51       51     3,190    3,190        0          0   batch 0 of pass 0\n"
        "      1      51       51     3,190    3,190        0          0   batch 0 of pass 1\n"
        "      2      51       51     3,190    3,190        0          0   batch 0 of pass 2\n"
        "  over the run: every row seen exactly 3 times, never seen 0\n"
        "\n"
        "PASS  every one of 3,190 rows seen exactly once in each of 3 epochs, 51 steps each\n"
        "        checked: missed rows, steps, rows that are unknown or outside the data, complete evidence\n"
    )


def test_an_incomplete_run_says_why_and_what_to_do() -> None:
    # GIVEN a run that was killed in its third epoch
    killed = story.clean(last=5, needed_from="projected").splits[0]
    why = story.finding(
        "CA901", "incomplete-log", Severity.INCOMPLETE, "rank 0 never closed its log: it was killed after step 107",
        split="", fix="report --allow-incomplete judges what is there",
    )  # fmt: skip
    result = AuditResult(story.run_info(state="open"), (replace(killed, verdict=Verdict.INCOMPLETE),), (why,))
    # THEN the epoch is shown so far, and the reason with its remedy follows
    assert terminal.render(result) == (
        "coverage-audit  run.parquet · train · 2 epochs and 1 so far ·\n"
        "        3,190 rows in 4 shards · trained steps (told by the trainer)\n"
        "\n"
        "  epoch          steps  needed  visited  missed  repeated  starts at\n"
        "      0             51      51    3,190       0         0  batch 0 of pass 0\n"
        "      1             51      51    3,190       0         0  batch 0 of pass 1\n"
        "      2  so far      5      51      320   2,870         0  batch 0 of pass 2\n"
        "  (too narrow for: unique)\n"
        "  needed steps are projected: the batches so far and what the unvisited rows\n"
        "    still take\n"
        "  over the run: every row seen 2 to 3 times, never seen 0\n"
        "\n"
        "INCOMPLETE  the evidence does not support a number: CA901 incomplete-log\n"
        "\n"
        "the run as a whole\n"
        "INCOMPLETE  CA901 incomplete-log   rank 0 never closed its log: it was killed\n"
        "        after step 107\n"
        "        fix: report --allow-incomplete judges what is there\n"
        "next: coverage-audit explain CA901 ·\n"
        "      coverage-audit report run.parquet --figures figures\n"
    )


def test_yields_are_never_called_trained() -> None:
    text = terminal.render(story.clean(counts="yielded", epochs_from="steps_per_epoch"), width=200)
    assert "· counts yields, not trained steps\n" in text
    assert "Counts yields, not trained steps\n" in text
    assert "trained steps (" not in text


def test_a_gate_that_fails_without_a_diagnosis_is_said() -> None:
    split = replace(story.short_epochs().splits[0], gates=("186 missed row-epochs, 0 are allowed",))
    assert "\nFAIL  186 missed row-epochs, 0 are allowed\n" in terminal.render(
        AuditResult(story.run_info(), (split,), ())
    )


def test_an_empty_log_is_no_pass() -> None:
    assert terminal.render(AuditResult(story.run_info(), (), ())) == (
        "coverage-audit  run.parquet\n"
        "\n"
        "INCOMPLETE  nothing was recorded: no wrapped loader was read while this log was\n"
        "        open\n"
    )


def test_several_epochs_of_which_none_is_complete() -> None:
    counts = story.counted(None, [range(4)] * 5, 4, 2)
    counts = replace(counts, epochs=tuple(replace(epoch, complete=False) for epoch in counts.epochs))
    text = terminal.render(AuditResult(story.run_info(), (story.judged(counts, Verdict.INCOMPLETE),), ()), width=100)
    assert text.startswith("coverage-audit  run.parquet · train · 2 epochs so far · ")


def test_without_a_dataset_nothing_is_missed_or_seen() -> None:
    counts = story.counted(None, [range(4)] * 5, 4, 1)
    text = terminal.render(AuditResult(story.run_info(), (story.judged(counts, Verdict.INCOMPLETE),), ()), width=100)
    assert "      0       4        5        16        –        –          –   batch 0 of pass 0\n" in text
    assert "over the run: 16 visits of rows of an unknown dataset\n" in text


def test_rows_never_seen_name_their_shards() -> None:
    # GIVEN a loader that never opens the last shard
    shards = story.shards_of(*story.STORY)
    counts = story.counted(shards, [b for b in story.slices(shards, 64) if b.start < 2940], 47, 2)
    # THEN
    text = terminal.render(AuditResult(story.run_info(), (story.judged(counts, Verdict.FAIL),), ()))
    assert (
        "  over the run: 250 of 3,190 rows never seen (7.8 %), the others up to 2 times\n"
        "  missed or repeated row-epochs 500: 500 unexplained\n"
        "\n"
        "  shards with rows never seen: 1 of 4\n"
        "  shard     rows   visited   never seen   visits per row\n"
        "  x_3.npy    250         0          250                0\n"
    ) in text


def test_hundreds_of_epochs_show_head_tail_and_the_first_that_fail() -> None:
    tiny = story.shards_of(("a.npy", 30), ("b.npy", 37))
    counts = story.counted(tiny, story.slices(tiny, 8), 9, 400)
    bad = story.counted(tiny, story.slices(tiny, 8), 8, 1).epochs[0]
    lines = [replace(bad, epoch=e.epoch) if e.epoch in range(100, 300, 10) else e for e in counts.epochs]
    split = story.judged(replace(counts, epochs=tuple(lines)), Verdict.FAIL)
    table = terminal.render(AuditResult(story.run_info(), (split,), ())).split("\n\n")[1].splitlines()
    shown = [line.split()[0] for line in table[1:-2]]
    assert shown == [
        "0", "1", "2", "3", "4", "…", "100", "…", "110", "…", "120", "…", "130", "…", "140", "…", "150", "…", "160",
        "…", "170", "…", "180", "…", "190", "…", "395", "396", "397", "398", "399",
    ]  # fmt: skip
    assert table[6] == "  … 95 epochs left out, none of them failing"
    assert "  … 204 epochs left out, 10 of them failing" in table
    # AND every epoch when asked for
    everything = terminal.render(AuditResult(story.run_info(), (split,), ()), verbose=True)
    assert "left out" not in everything


def test_passes_are_shown_under_a_contract_per_pass() -> None:
    result = story.clean(info=story.with_contract("exactly-once", "pass"), last=5)
    assert (
        "  passes of the loader\n"
        "  pass          known     batches  partial  visited  unique  missed  repeated\n"
        "     0          inferred       51        4    3,190   3,190       0         0\n"
        "     1          inferred       51        4    3,190   3,190       0         0\n"
        "     2  so far  inferred        5        0      320     320   2,870         0\n"
    ) in terminal.render(result)
    assert "PASS  every one of 3,190 rows seen exactly once in each of 2 passes\n" in terminal.render(result)


def test_short_virtual_epochs_pass_per_run() -> None:
    shards = story.shards_of(*story.STORY)
    counts = story.counted(shards, story.slices(shards, 64), 10, 6, info=story.with_contract("at-least-once", "run"))
    text = terminal.render(AuditResult(story.run_info(), (story.judged(counts),), ()), color=True)
    assert "every one of 3,190 rows seen over the run" in text or "seen exactly once over the run" in text
    assert f"{ESCAPE}[1;31m" not in text, "an epoch below the pass is no alarm per run"


def test_verbose_shows_the_symptoms_and_every_shard() -> None:
    text = terminal.render(story.short_epochs(), verbose=True)
    assert "info  CA101 missed-rows   186 missed row-epochs in 3 of 3 epochs\n" in text
    assert "first: x_3.npy 192–249 (epoch 0) · explained by CA601\n" in text
    assert "  how rows are known: views of the data 100 %\n" in text
    assert "  x_0.npy   1,000     3,000            0                3\n" in text
    assert "CA101" not in terminal.render(story.short_epochs())


def test_the_unexplained_rest_is_shown() -> None:
    result = story.short_epochs()
    split = story.judged(result.splits[0].counts, Verdict.FAIL, explained=100)
    short = replace(result.findings[0], explained=100)
    text = terminal.render(AuditResult(result.run, (split,), (short,)), width=100)
    assert "  missed or repeated row-epochs 186: 100 explained by CA601, 86 unexplained\n" in text
    assert "        explains 100 of 186 missed row-epochs · first: x_3.npy 192–249 (epoch 0)\n" in text


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"view": 3190}, None),
        ({"view": 1, "unknown": 10**6}, "  how rows are known: views of the data 0.1 %, unknown 99.9 %\n"),
        ({"explicit": 2, "view+verified": 2},
         "  how rows are known: ids the loader told 50.0 %, views of the data (verified) 50.0 %\n"),
    ],
)  # fmt: skip
def test_a_mix_of_ways_of_knowing_is_said(found: dict[str, int], said: str | None) -> None:
    text = terminal.render(story.clean(found=found), width=120)
    assert (said in text) if said else ("how rows are known" not in text)


def test_every_way_has_its_words() -> None:
    """The counts call a way by the name of its member, with blanks."""
    assert list(view_sentences.WAYS) == [
        "explicit", "provenance", "view", "recent content", "indexed content", "tracer", "inferred", "unknown",
    ]  # fmt: skip
    assert set(view_sentences.WAYS) == {found.name.lower().replace("_", " ") for found in Found}
    text = terminal.render(story.clean(found={"recent content": 3190}), width=120)
    assert "  how rows are known: content of rows just read 100 %\n" in text


def test_several_splits_one_after_the_other() -> None:
    train, other = story.short_epochs(), story.clean(split="validation", evaluation=True)
    result = AuditResult(train.run, (train.splits[0], other.splits[0]), train.findings)
    heads = [line for line in terminal.render(result, width=120).splitlines() if line.startswith("coverage-audit")]
    assert heads == [
        "coverage-audit  run.parquet · train · 3 epochs · 3,190 rows in 4 shards · trained steps (told by the trainer)",
        "coverage-audit  run.parquet · validation · 3 evaluations · 3,190 rows in 4 shards ·",
    ]


def test_no_colour_unless_asked_and_the_same_words_with_it() -> None:
    plain, colored = terminal.render(story.short_epochs()), terminal.render(story.short_epochs(), color=True)
    assert ESCAPE not in plain
    assert f"{ESCAPE}[1;31mFAIL{ESCAPE}[0m" in colored
    assert _without_color(colored) == plain


def test_names_from_disk_cannot_drive_the_terminal() -> None:
    shards = story.shards_of(("evil\x1b[2J\n.npy", 100))
    counts = story.counted(shards, story.slices(shards, 64), 1, 1)
    result = AuditResult(story.run_info("log\x1b]0;x\x07"), (story.judged(counts, Verdict.FAIL),), ())
    text = terminal.render(result)
    assert "evil\\x1b[2J\\n.npy" in text
    assert ESCAPE not in text
    assert "\x07" not in text


@pytest.mark.parametrize("width", range(60, 201, 7))
@pytest.mark.parametrize("verbose", [False, True])
def test_no_line_is_wider_than_the_page(width: int, verbose: bool) -> None:
    results = (story.short_epochs(), story.clean(last=5, needed_from="computed"), _huge())
    for result in results:
        text = terminal.render(result, width=width, verbose=verbose)
        assert max(cell_len(line) for line in text.splitlines()) <= width


@settings(deadline=None, max_examples=60)
@given(
    st.text(st.characters(exclude_categories=("Cs",)), max_size=300),
    st.text("ab界ü -.", max_size=200),
    st.integers(60, 200),
)
def test_no_line_is_wider_than_the_page_whatever_it_says(cause: str, name: str, width: int) -> None:
    result = story.short_epochs()
    odd = replace(result.findings[0], cause=cause, message=name, fix=cause, ranges=((name, 0, 5),))
    text = terminal.render(AuditResult(story.run_info(name), result.splits, (odd,)), width=width)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert text.isprintable() or set(text) - {"\n"} == {c for c in text if c.isprintable()}


def _huge() -> AuditResult:
    """Numbers and names as wide as they come."""
    long = "corpus/" + "very-long-folder-name/" * 12 + "shard-00000-of-99999.npy"
    shards = story.shards_of((long, 100), ("b" * 200, 50))
    counts = story.counted(shards, story.slices(shards, 64)[:1], 1, 3, info=SplitInfo("train"))
    epochs = tuple(
        replace(e, steps=10**9, needed=10**9 + 1, visits=10**13, unique=10**13, complete=e.epoch != 2)
        for e in counts.epochs
    )
    counts = replace(counts, epochs=epochs, run_visits=counts.run_visits * np.uint32(10**8))
    found = story.finding("CA102", "never-seen-rows", Severity.ERROR, "x" * 300, ranges=((long, 64, 100),), rows=36)
    return AuditResult(story.run_info(long), (story.judged(counts, Verdict.FAIL),), (found,))


def _without_color(text: str) -> str:
    import re

    return re.sub(rf"{ESCAPE}\[[0-9;]*m", "", text)
