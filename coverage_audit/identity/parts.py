"""The arrays a batch is made of, and the batch without what only we added to them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from coverage_audit.identity.batches import held_values, leaves
from coverage_audit.identity.provenance import plain, shadow_of
from coverage_audit.identity.shadows import Shadow


def arrays(batch: Any) -> Any:
    """What may hold rows, in order; most batches are a flat tuple of arrays and taken as they are."""
    if type(batch) is tuple and all(isinstance(part, np.ndarray) for part in batch):
        return batch
    return tuple(_parts(batch))


def rows_listed(part: list[Any]) -> Shadow | None:
    """A list of single rows, one entry each; None if it is anything else."""
    ids = np.empty(len(part), np.int64)
    for at, row in enumerate(part):
        shadow = shadow_of(row)
        if not isinstance(shadow, np.ndarray) or shadow.ndim:
            return None
        ids[at] = shadow
    return ids


def as_array(leaf: Any) -> np.ndarray[Any, Any] | None:
    """A leaf as a plain array without a copy where possible; None for what is no array, or not in this memory."""
    if isinstance(leaf, np.ndarray):
        return plain(leaf)
    shape = getattr(leaf, "shape", None)
    if shape is None:
        return None
    try:
        module = type(leaf).__module__.partition(".")[0]
        if module == "torch":
            return np.asarray(leaf.detach()) if leaf.device.type == "cpu" else None
        return np.asarray(leaf) if hasattr(leaf, "__array__") else None
    except Exception:  # noqa: BLE001 - symbolic, sparse, of a type numpy has not: then it is not looked into
        return None


def handed_on(batch: Any) -> Any:
    """The batch with ordinary arrays in place of tracked ones; the user's own containers are never changed."""
    if isinstance(batch, np.ndarray):
        return plain(batch)
    if type(batch) is tuple and all(type(part) is np.ndarray for part in batch):
        return batch
    if isinstance(batch, tuple):
        parts = [handed_on(part) for part in batch]
        if all(new is old for new, old in zip(parts, batch, strict=True)):
            return batch
        return type(batch)(*parts) if hasattr(batch, "_fields") else type(batch)(parts)
    if type(batch) is list:
        rest = [handed_on(part) for part in batch]
        return batch if all(new is old for new, old in zip(rest, batch, strict=True)) else rest
    if type(batch) is dict:
        changed = {key: handed_on(part) for key, part in batch.items()}
        return batch if all(changed[key] is batch[key] for key in batch) else changed
    return batch


def _parts(batch: Any) -> Iterator[Any]:
    if isinstance(batch, tuple):
        for part in batch:
            yield from _parts(part)
    elif isinstance(batch, list):
        if batch and rows_listed(batch) is not None:
            yield batch
        else:
            yield from leaves(batch)
    else:
        values = held_values(batch)
        if values is None:
            yield batch
        else:
            for part in values:
                yield from _parts(part)
