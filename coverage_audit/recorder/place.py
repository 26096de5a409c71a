"""Where this process stands among those that train together, asked once: of the caller, the environment, and of the
frameworks that are imported already (:mod:`~coverage_audit.recorder.world`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from coverage_audit.errors import UsageError
from coverage_audit.recorder.world import mesh_place, process_group


@dataclass(frozen=True, slots=True)
class Place:
    """``rank`` of ``world_size`` data-parallel readers.

    ``launcher_id``: a run id all of them share, None where no launcher gives a real one. ``restart``: how often the
    launcher started this job again, None where it does not count. ``member``: which of the processes that share the
    rank this is (tensor- and pipeline-parallel peers read the same rows), by its place among all; -1 where each rank is
    one process, or nothing tells them apart.
    """

    rank: int = 0
    world_size: int = 1
    launcher_id: str | None = None
    restart: int | None = None
    member: int = -1


# Rank and size by launcher. Slurm's batch script itself has a SLURM_PROCID too: only inside a step it means a rank.
_RANKS: tuple[tuple[str, str, str | None], ...] = (
    ("RANK", "WORLD_SIZE", None),
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_STEP_ID"),
    ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_STEP_ID"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", None),
    ("PMI_RANK", "PMI_SIZE", None),
)


def find_place(environ: Mapping[str, str], data_parallel: tuple[int, int] | None = None) -> Place:
    """The place by ``data_parallel=(index, size)``, else by RANK/WORLD_SIZE, SLURM_*, OMPI_*, PMI_* or TF_CONFIG, else
    by a process group that stands; a device mesh with named dimensions says which of these read the same rows.

    Raises :class:`UsageError` (bad-data-parallel, bad-rank) for values that cannot be a rank and a size.
    """
    launcher_id, restart = _launcher(environ)
    told = _rank(environ)
    world = told if told is not None else process_group()
    if data_parallel is not None:
        rank, world_size = _given(data_parallel)
        member = world[0] if world is not None and world[1] > world_size else -1
        return Place(rank, world_size, launcher_id, restart, member)
    if world is None:
        return Place(0, 1, launcher_id, restart)
    part = mesh_place(world[1])
    if part is None or part == world:
        return Place(*world, launcher_id, restart)
    return Place(*part, launcher_id, restart, world[0])


def _given(data_parallel: Any) -> tuple[int, int]:
    try:
        index, size = data_parallel
        whole = not isinstance(index, bool) and index == int(index) and size == int(size)
    except (TypeError, ValueError):
        whole, index, size = False, 0, 0
    if not whole or not 0 <= index < size:
        raise UsageError(
            f"data_parallel={data_parallel!r} is no (index, size): give two whole numbers with 0 <= index < size",
            slug="bad-data-parallel",
        )
    return int(index), int(size)


def _rank(environ: Mapping[str, str]) -> tuple[int, int] | None:
    for rank_name, size_name, needed in _RANKS:
        if rank_name in environ and size_name in environ and (needed is None or needed in environ):
            rank, size = _number(environ, rank_name), _number(environ, size_name)
            if not 0 <= rank < size:
                raise UsageError(
                    f"{rank_name}={rank} is not below {size_name}={size}: correct the environment, or pass "
                    "data_parallel=(index, size)",
                    slug="bad-rank",
                )
            return rank, size
    if environ.get("TF_CONFIG"):
        return _tf_config(environ["TF_CONFIG"])
    return None


def _tf_config(text: str) -> tuple[int, int]:
    """Chief and workers train on data in this order; parameter servers and evaluators stand alone."""
    try:
        config = json.loads(text)
        cluster, task = config.get("cluster", {}), config.get("task", {})
        leaders = len(cluster.get("chief", cluster.get("master", ())))
        workers = len(cluster.get("worker", ()))
        kind, index = task.get("type", "worker"), int(task.get("index", 0))
    except (ValueError, TypeError, AttributeError) as error:
        raise UsageError(
            f"TF_CONFIG={text!r} cannot be read ({error}): correct it, or pass data_parallel=(index, size)",
            slug="bad-rank",
        ) from error
    if kind in ("chief", "master"):
        return 0, max(leaders + workers, 1)
    if kind == "worker":
        return leaders + index, max(leaders + workers, leaders + index + 1)
    return 0, 1


def _launcher(environ: Mapping[str, str]) -> tuple[str | None, int | None]:
    restart = _number(environ, "TORCHELASTIC_RESTART_COUNT") if environ.get("TORCHELASTIC_RESTART_COUNT") else None
    elastic = environ.get("TORCHELASTIC_RUN_ID", "")
    if elastic not in ("", "none"):
        return elastic, restart
    job, step = environ.get("SLURM_JOB_ID"), environ.get("SLURM_STEP_ID")
    if job and step:
        # Slurm sets the restart count only from the first requeue on.
        requeued = _number(environ, "SLURM_RESTART_COUNT") if environ.get("SLURM_RESTART_COUNT") else 0
        return f"slurm-{job}.{step}", requeued if restart is None else restart
    return None, restart


def _number(environ: Mapping[str, str], name: str) -> int:
    try:
        return int(environ[name])
    except ValueError as error:
        raise UsageError(
            f"{name}={environ[name]!r} is no whole number: correct the environment, or pass "
            "data_parallel=(index, size)",
            slug="bad-rank",
        ) from error
