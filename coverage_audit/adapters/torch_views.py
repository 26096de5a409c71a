"""torch's own datasets that rearrange others: Subset (and so random_split) and ConcatDataset."""

from __future__ import annotations

from typing import Any

import numpy as np

from coverage_audit.adapters.choice import loaded
from coverage_audit.adapters.torch_rows import View, whole_numbers


def below(dataset: Any) -> View | None:
    """What a Subset or a ConcatDataset looks at; None for any other, subclasses included: they may do it otherwise."""
    kind = type(dataset)
    if kind is loaded("torch", "utils.data.Subset"):
        indices = whole_numbers(dataset.indices)
        length = len(dataset.dataset)
        if indices is None:
            return None
        return View((dataset.dataset,), (length,), np.where(indices < 0, indices + length, indices))
    if kind is loaded("torch", "utils.data.ConcatDataset"):
        sizes = np.diff(np.concatenate(([0], dataset.cumulative_sizes)))
        return View(tuple(dataset.datasets), tuple(sizes.tolist()))
    return None
