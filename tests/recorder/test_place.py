"""Which rank of how many, and what a launcher calls the run."""

from __future__ import annotations

import json
from typing import Any

import pytest

from coverage_audit.errors import UsageError
from coverage_audit.recorder.place import Place, find_place

CLUSTER = {"chief": ["a"], "worker": ["b", "c"], "ps": ["d"], "evaluator": ["e"]}


def tf_config(kind: str, index: int, cluster: Any = CLUSTER) -> dict[str, str]:
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})}


@pytest.mark.parametrize(
    ("environ", "place"),
    [
        ({}, Place(0, 1)),
        ({"RANK": "3", "WORLD_SIZE": "8"}, Place(3, 8)),
        ({"RANK": "3"}, Place(0, 1)),
        ({"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "2"}, Place(0, 2)),
        ({"PMI_RANK": "1", "PMI_SIZE": "2"}, Place(1, 2)),
        # inside a Slurm step, and in the batch script around it, which is one process whatever the job asked for
        (
            {"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0", "SLURM_PROCID": "1", "SLURM_NTASKS": "4"},
            Place(1, 4, "slurm-7.0", 0),
        ),
        ({"SLURM_JOB_ID": "7", "SLURM_PROCID": "0", "SLURM_NTASKS": "4"}, Place(0, 1)),
        (
            {"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "1", "SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2",
             "SLURM_NTASKS": "4", "SLURM_RESTART_COUNT": "2"},
            Place(1, 2, "slurm-7.1", 2),
        ),
        # torchrun; its default run id is the word none
        (
            {"RANK": "1", "WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "abc", "TORCHELASTIC_RESTART_COUNT": "1"},
            Place(1, 2, "abc", 1),
        ),
        ({"TORCHELASTIC_RUN_ID": "none", "TORCHELASTIC_RESTART_COUNT": "0"}, Place(0, 1, None, 0)),
        ({"TORCHELASTIC_RUN_ID": ""}, Place(0, 1)),
        (
            {"TORCHELASTIC_RUN_ID": "none", "SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0", "RANK": "0", "WORLD_SIZE": "2"},
            Place(0, 2, "slurm-7.0", 0),
        ),
        (tf_config("chief", 0), Place(0, 3)),
        (tf_config("worker", 1), Place(2, 3)),
        (tf_config("worker", 1, {"worker": ["b", "c"]}), Place(1, 2)),
        (tf_config("ps", 0), Place(0, 1)),
        (tf_config("evaluator", 0), Place(0, 1)),
        ({"TF_CONFIG": ""}, Place(0, 1)),
        ({"TF_CONFIG": "{}"}, Place(0, 1)),
    ],
)  # fmt: skip
def test_what_the_environment_says(environ: dict[str, str], place: Place) -> None:
    assert find_place(environ) == place


def test_data_parallel_comes_first_and_keeps_the_run_id() -> None:
    environ = {"RANK": "3", "WORLD_SIZE": "8", "TORCHELASTIC_RUN_ID": "abc"}
    assert find_place(environ, (1, 2)) == Place(1, 2, "abc")


@pytest.mark.parametrize("given", [(2, 2), (-1, 2), (0, 0), (0,), 3, "01", (0.5, 2), (True, 2), (None, 2)])
def test_what_data_parallel_cannot_be(given: Any) -> None:
    with pytest.raises(UsageError, match=r"data_parallel=.* is no \(index, size\): give two whole numbers") as caught:
        find_place({}, given)
    assert caught.value.slug == "bad-data-parallel"


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"RANK": "a", "WORLD_SIZE": "2"}, "RANK='a' is no whole number"),
        ({"RANK": "2", "WORLD_SIZE": "2"}, "RANK=2 is not below WORLD_SIZE=2"),
        ({"TF_CONFIG": "{"}, "TF_CONFIG='{' cannot be read"),
        ({"TF_CONFIG": "[]"}, r"TF_CONFIG='\[\]' cannot be read"),
    ],
)
def test_an_environment_that_makes_no_sense(environ: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        find_place(environ)
    assert caught.value.slug == "bad-rank"
