"""The report as markdown, and that no name can break out of it."""

from __future__ import annotations

from dataclasses import replace

import story
from hypothesis import given
from hypothesis import strategies as st

from coverage_audit.reporters import markdown
from coverage_audit.result import AuditResult, Verdict


def test_the_story_of_the_short_epoch() -> None:
    assert markdown.render(story.short_epochs()) == (
        "# FAIL run.parquet\n"
        "\n"
        "## train: FAIL\n"
        "\n"
        "3 epochs · 3,190 rows in 4 shards · trained steps (told by the trainer)\n"
        "\n"
        "| epoch | steps | needed | visited | unique | missed | repeated | starts at |\n"
        "|--:|--:|--:|--:|--:|--:|--:|:--|\n"
        "| 0 | **50** | 51 | 3,132 | 3,132 | **58** | 0 | batch 0 of pass 0 |\n"
        "| 1 | **50** | 51 | 3,126 | 3,126 | **64** | 0 | batch 50 of pass 0 |\n"
        "| 2 | **50** | 51 | 3,126 | 3,126 | **64** | 0 | batch 49 of pass 1 |\n"
        "\n"
        "- over the run: every row seen 2 to 3 times, never seen 0\n"
        "\n"
        "- **FAIL CA601** short-epoch: 50 steps, one pass of this loader needs 51\n"
        "  <br>ceil(3190 / 64) = 50 is right for a loader that fills every batch; this one ends each shard with a "
        "partial batch (CA606), so a pass takes ceil(n / 64) per shard: 16 + 15 + 16 + 4 = 51\n"
        "  <br>explains all 186 missed row-epochs · first: x\\_3.npy 192–249 (epoch 0)\n"
        "  <br>**fix:** steps\\_per\\_epoch = 51, or carry the rest of a shard over into the next batch\n"
        "- **warn CA603** drifting-epochs: each epoch starts one batch earlier in the pass\n"
        "\n"
        "next: `coverage-audit explain CA601` · `coverage-audit report run.parquet --figures figures`\n"
    )


def test_a_pass() -> None:
    text = markdown.render(story.clean())
    assert text.startswith("# PASS run.parquet\n")
    assert text.endswith(
        "**PASS** every one of 3,190 rows seen exactly once in each of 3 epochs, 51 steps each\n"
        "<br>checked: missed rows, steps, rows that are unknown or outside the data, complete evidence\n"
    )


def test_names_stay_in_their_cells() -> None:
    # GIVEN a shard and a message that try to be markup
    shards = story.shards_of(("a|b`c*<img src=x>\n.npy", 100))
    split = story.judged(story.counted(shards, story.slices(shards, 64), 1, 1), Verdict.FAIL)
    found = replace(story.short_epochs().findings[0], message="<script> & &lt; [x](y) ${a}", ranges=())
    text = markdown.render(AuditResult(story.run_info(), (split,), (found,)))
    # THEN
    assert r"| a\|b\`c\*\<img src=x\>\\n.npy | 100 |" in text
    assert r"short-epoch: \<script\> & &amp;lt; \[x\](y) \$\{a\}" in text


@given(st.text("`a ", max_size=12))
def test_code_holds_any_backticks(text: str) -> None:
    fenced = str(markdown.code(text))
    fence = fenced[: len(fenced) - len(fenced.lstrip("`"))]
    assert fenced.strip("`").count(fence) == 0 or not text.strip("`")
