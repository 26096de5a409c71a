"""JSON format 1: the keys of the contract, and a schema that knows no others."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
import story

from coverage_audit import __version__
from coverage_audit.model.finding import Severity
from coverage_audit.reporters import json_file
from coverage_audit.result import AuditResult, Verdict, WriterCount

CHECK = jsonschema.Draft202012Validator(json_file.schema())


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json_file.schema())


def test_the_document_of_the_contract_is_valid() -> None:
    # GIVEN the example of the design, which leaves lists empty that are filled elsewhere
    document = json.loads("""
{"format": 1, "tool": {"name": "coverage-audit", "version": "…"}, "verdict": "fail",
 "run": {"log": "…", "run_id": "…", "attempts": 1, "writers": 1, "ranks": 1},
 "splits": [
   {"split": "train", "verdict": "fail", "counts": "trained", "contract": {"kind": "exactly-once", "per": "epoch"},
    "dataset": {"shards": 4, "rows": 3190, "fingerprint": "…"},
    "totals": {"epochs": 1, "steps": 49, "visits": 3136, "rows_seen": 3136, "rows_never_seen": 54, "rows_repeated": 0,
               "missed": 54, "repeated": 0, "explained": 54, "unexplained": 0, "unidentified": 0,
               "untrained_batches": 1},
    "epochs": [{"epoch": 0, "fit": 0, "complete": true, "steps": 49, "needed": 50, "needed_from": "projected",
                "batch_size": 64, "visits": 3136, "unique": 3136, "missed": 54, "repeated": 0,
                "starts_at": {"pass": 0, "batch": 0}}],
    "passes": [], "shards": [], "ranks": [], "attempts": []}],
 "findings": [{"code": "CA601", "name": "short-epoch", "severity": "error", "split": "train", "epochs": [0],
               "message": "49 steps, one pass needs ceil(3190 / 64) = 50", "cause": "…", "fix": "…", "rows": 54,
               "ranges": [["x_3.npy", 196, 250]], "truncated": false, "explains": ["CA101"], "claimed_by": []}]}
""")
    CHECK.validate(document)


def test_one_epoch_whole() -> None:
    # GIVEN one epoch of 50 steps where a pass needs 51, recorded by one rank
    shards = story.shards_of(*story.STORY)
    split = story.judged(story.counted(shards, story.slices(shards, 64), 50, 1), Verdict.FAIL, explained=58)
    found = story.finding(
        "CA601", "short-epoch", Severity.ERROR, "50 steps, one pass needs 51", epochs=(0,), cause="c", fix="f", rows=58,
        ranges=(("x_3.npy", 192, 250),), explains=("CA101",), explained=58,
    )  # fmt: skip
    counts = replace(split.counts, writers=(WriterCount(0, 0, 1, 50, 50, 3132, 3132),))
    result = AuditResult(story.run_info(), (replace(split, counts=counts),), (found,))
    # THEN
    document = json.loads(json_file.render(result))
    CHECK.validate(document)
    assert document == {
        "format": 1,
        "tool": {"name": "coverage-audit", "version": __version__},
        "verdict": "fail",
        "run": {"log": "run.parquet", "run_id": "r-1", "attempts": 1, "writers": 1, "ranks": 1},
        "splits": [
            {
                "split": "train",
                "verdict": "fail",
                "counts": "trained",
                "contract": {"kind": "exactly-once", "per": "epoch"},
                "dataset": {"shards": 4, "rows": 3190, "fingerprint": shards.fingerprint},
                "totals": {
                    "epochs": 1, "steps": 50, "visits": 3132, "rows_seen": 3132, "rows_never_seen": 58,
                    "rows_repeated": 0, "missed": 58, "repeated": 0, "explained": 58, "unexplained": 0,
                    "unidentified": 0, "untrained_batches": 0,
                },
                "epochs": [
                    {
                        "epoch": 0, "fit": 0, "complete": True, "steps": 50, "needed": 51, "needed_from": "observed",
                        "batch_size": 64, "visits": 3132, "unique": 3132, "missed": 58, "repeated": 0,
                        "starts_at": {"pass": 0, "batch": 0},
                    }
                ],
                "passes": [
                    {
                        "rank": 0, "pass": 0, "pass_from": "inferred", "complete": False, "batches": 50,
                        "visits": 3132, "unique": 3132, "missed": 58, "repeated": 0, "partial_batches": 3,
                    }
                ],
                "shards": [
                    {"shard": "x_0.npy", "rows": 1000, "visits": 1000, "rows_seen": 1000, "rows_never_seen": 0,
                     "min_visits": 1, "max_visits": 1},
                    {"shard": "x_1.npy", "rows": 937, "visits": 937, "rows_seen": 937, "rows_never_seen": 0,
                     "min_visits": 1, "max_visits": 1},
                    {"shard": "x_2.npy", "rows": 1003, "visits": 1003, "rows_seen": 1003, "rows_never_seen": 0,
                     "min_visits": 1, "max_visits": 1},
                    {"shard": "x_3.npy", "rows": 250, "visits": 192, "rows_seen": 192, "rows_never_seen": 58,
                     "min_visits": 0, "max_visits": 1},
                ],
                "ranks": [
                    {"attempt": 0, "rank": 0, "process": 1, "steps": 50, "batches": 50, "visits": 3132, "unique": 3132},
                ],
                "attempts": [{"attempt": 0, "writers": 1, "ranks": 1, "complete": True}],
            }
        ],
        "findings": [
            {
                "code": "CA601", "name": "short-epoch", "severity": "error", "split": "train", "epochs": [0],
                "message": "50 steps, one pass needs 51", "cause": "c", "fix": "f", "rows": 58,
                "ranges": [["x_3.npy", 192, 250]], "truncated": False, "explains": ["CA101"], "claimed_by": [],
            }
        ],
    }  # fmt: skip


@pytest.mark.parametrize(
    "result",
    [
        story.short_epochs(),
        story.clean(last=5),
        AuditResult(story.run_info(), (), ()),
        AuditResult(story.run_info(), (story.judged(story.counted(None, [range(3)] * 5, 4, 2)),), ()),
    ],
    ids=["short", "so far", "empty", "no dataset"],
)
def test_every_document_follows_the_schema(result: AuditResult) -> None:
    CHECK.validate(json.loads(json_file.render(result)))
    assert json_file.render(result) == json_file.render(result)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d: d.update(extra=1),
        lambda d: d["splits"][0].update(extra=1),
        lambda d: d["splits"][0]["epochs"][0].update(missed=0.5),
        lambda d: d["splits"][0]["epochs"][0].update(missed=-1),
        lambda d: d["splits"][0]["passes"][0].pop("rank"),
        lambda d: d["findings"][0].update(ranges=[["x", 1]]),
        lambda d: d["findings"][0].update(ranges=[["x", 1, 2, 3]]),
        lambda d: d["findings"][0].update(severity="fatal"),
        lambda d: d.update(format=2),
    ],
)
def test_the_schema_is_strict(spoil: Any) -> None:
    document = json.loads(json_file.render(story.short_epochs()))
    CHECK.validate(document)
    spoil(document)
    with pytest.raises(jsonschema.ValidationError):
        CHECK.validate(document)


def test_an_attempt_with_a_writer_that_never_closed_is_not_complete() -> None:
    split = story.clean().splits[0]
    counts = replace(split.counts, run=story.run_info(ranks=2, state="open"))
    document = json_file.document(AuditResult(counts.run, (replace(split, counts=counts),), ()))
    assert document["splits"][0]["attempts"] == [{"attempt": 0, "writers": 2, "ranks": 2, "complete": False}]
