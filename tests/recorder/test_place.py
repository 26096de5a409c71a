"""Which rank of how many, and what a launcher calls the run."""

from __future__ import annotations

import json
import subprocess
import sys
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
    assert find_place(environ, (1, 2)) == Place(1, 2, "abc", member=3)


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


def test_processes_that_share_a_rank_are_told_apart_by_their_place_among_all() -> None:
    """GIVEN eight processes in pairs that read the same rows WHEN the pair says so THEN each keeps its own number."""
    environ = {"RANK": "5", "WORLD_SIZE": "8"}
    assert find_place(environ, data_parallel=(2, 4)) == Place(2, 4, member=5)
    assert find_place(environ, data_parallel=(5, 8)) == Place(5, 8)
    assert find_place({}, data_parallel=(2, 4)) == Place(2, 4)


def test_a_device_mesh_says_which_ranks_read_the_same_rows() -> None:
    """GIVEN eight ranks as torch lays them out WHEN dimensions are named THEN the data-parallel ones make the rank."""
    script = """
import torch.distributed as dist
from torch.testing._internal.distributed.fake_pg import FakeStore
from torch.distributed.device_mesh import init_device_mesh
from coverage_audit.recorder.place import find_place

def say(names, shape):
    mesh = init_device_mesh("cpu", shape, mesh_dim_names=names)
    place = find_place({})
    print(names, place.rank, place.world_size, place.member)
    del mesh

dist.init_process_group("fake", store=FakeStore(), rank=5, world_size=8)
say(None, (8,))
say(("dp", "tp"), (4, 2))
say(("pp", "dp_replicate", "dp_shard", "tp"), (2, 1, 2, 2))
say(("fsdp",), (8,))
say(("dp", "expert"), (4, 2))
kept = init_device_mesh("cpu", (4, 2), mesh_dim_names=("dp", "tp"))
say(("dp", "tp"), (2, 4))
say(("dp", "tp"), (4, 2))
part = kept["dp"]
say(("dp", "tp"), (4, 2))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == [
        "None 5 8 -1",
        "('dp', 'tp') 2 4 5",
        "('pp', 'dp_replicate', 'dp_shard', 'tp') 0 2 5",
        "('fsdp',) 5 8 -1",
        "('dp', 'expert') 5 8 -1",
        "('dp', 'tp') 5 8 -1",
        "('dp', 'tp') 2 4 5",
        "('dp', 'tp') 2 4 5",
    ], done.stderr
