"""What frameworks that are imported already know of the processes that train together; nothing is imported here.

A torch ``DeviceMesh`` lays all ranks out along named dimensions: along some of them (data-parallel replicas, shards of
the parameters) every process reads rows of its own, along others (tensor, pipeline, context parallelism) all read the
same. The names are a convention: those of torchtitan, accelerate and Lightning are known, and a mesh with any other
name says nothing.
"""

from __future__ import annotations

import gc
import sys
from typing import Any

READ_APART = frozenset(
    {
        "dp", "ddp", "data", "data_parallel", "dp_replicate", "dp_shard", "fsdp", "hsdp", "replicate", "shard",
        "dp_shard_mod_ep", "dp_shard_in_ep",
    }
)  # fmt: skip
"""Dimensions along which each process reads its own rows."""
READ_ALIKE = frozenset(
    {
        "tp",
        "pp",
        "cp",
        "sp",
        "tensor",
        "tensor_parallel",
        "pipeline",
        "pipeline_parallel",
        "context",
        "context_parallel",
    }
)
"""Dimensions along which all read the same rows."""


def process_group() -> tuple[int, int] | None:
    """(rank, world size) of torch's default process group or of JAX's processes, None where neither stands."""
    torch = sys.modules.get("torch.distributed")
    if torch is not None and torch.is_available() and torch.is_initialized():
        return int(torch.get_rank()), int(torch.get_world_size())
    jax = sys.modules.get("jax")
    initialized = getattr(getattr(jax, "distributed", None), "is_initialized", None)
    # Without it process_index() would start the backend, before the program has chosen its devices.
    if jax is not None and initialized is not None and initialized():
        return int(jax.process_index()), int(jax.process_count())
    return None


def mesh_place(world_size: int) -> tuple[int, int] | None:
    """(data-parallel index, size) of this process by the device meshes over all ``world_size`` ranks.

    None without such a mesh, where its dimensions have other names, or where two meshes say different things.
    """
    module = sys.modules.get("torch.distributed.device_mesh")
    kind: Any = getattr(module, "DeviceMesh", None)
    if kind is None or world_size < 2:
        return None
    # A mesh is known to nobody but its owner, so it is looked for: once, some 10 ms.
    meshes = [thing for thing in gc.get_objects() if type(thing) is kind]
    said = {place for mesh in meshes if (place := _place_in(mesh, world_size)) is not None}
    return said.pop() if len(said) == 1 else None


def _place_in(mesh: Any, world_size: int) -> tuple[int, int] | None:
    names, coordinate = mesh.mesh_dim_names, mesh.get_coordinate()
    if not names or coordinate is None or mesh.size() != world_size:
        return None
    index, size = 0, 1
    for dimension, (name, at) in enumerate(zip(names, coordinate, strict=True)):
        length = int(mesh.size(dimension))
        if name in READ_APART:
            index, size = index * length + int(at), size * length
        elif name not in READ_ALIKE and length > 1:
            return None
    return index, size
