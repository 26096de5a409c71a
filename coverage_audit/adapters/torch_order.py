"""Are the samples at the positions of a dataset the rows at those places of the declared files? Asked of a few batches,
and of the first of each file.

Files taken in another order than declared are a way in which positions go wrong and nothing else shows it. A sample
that equals its row in the file is right; samples that equal other rows are wrong; those that equal none went through
arithmetic, and say nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from coverage_audit.errors import CoverageAuditError
from coverage_audit.identity.declared import Declared
from coverage_audit.identity.origins import ORIGINS
from coverage_audit.identity.parts import arrays, as_array
from coverage_audit.identity.verification import holds
from coverage_audit.model.rows import Ints
from coverage_audit.sources.contents import Contents
from coverage_audit.sources.dataset import Dataset

SEARCHES = 16
"""Batches of which samples are looked for elsewhere."""
SAMPLES = 8
"""Samples of a batch that are looked for."""
READ_AT_MOST = 16 << 20
"""Bytes of files up to which all rows are looked at; of larger ones, the rows at the same place in other files."""
FILES = 256
"""Files that are looked into at most."""
WORTH = 16
"""Bytes of a row below which equal rows are chance."""


class FileOrder:
    """The rows of declared files, to be compared with batches."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._declared = Declared(dataset.paths, dataset.members, dataset.partners, [s.rows for s in dataset.shards])
        self._contents = Contents(dataset, ORIGINS.unchanged)
        self._searches = 0
        self._seen = {at for at, shard in enumerate(dataset.shards.items) if not shard.rows}
        sizes = [shard.bytes for shard in dataset.shards]
        self._is_small = all(n is not None for n in sizes) and sum(n or 0 for n in sizes) <= READ_AT_MOST

    def is_new(self, ids: Ints) -> bool:
        """Whether among ``ids`` (more than none) are rows of a file of which none was compared; they are from now on.

        Of batches in the order of the files, a first one says nothing of those from other files.
        """
        if len(self._seen) >= min(len(self._dataset.shards), FILES):
            return False
        offsets = self._dataset.shards.offsets
        ends = np.searchsorted(offsets, (np.minimum.reduce(ids), np.maximum.reduce(ids)), side="right") - 1
        files = range(int(ends[0]), int(ends[1]) + 1)
        if self._seen.issuperset(files):
            return False
        self._seen.update((np.searchsorted(offsets, ids, side="right") - 1).tolist())
        return True

    def is_other(self, batch: Any, ids: Ints) -> bool:
        """Whether a part of ``batch`` (len(ids) samples) holds other rows of the files than ``ids``, and no part holds
        these. False where that cannot be looked up."""
        if not ids.size or int(ids.min()) < 0 or int(ids.max()) >= len(self._places):
            return False
        try:
            leaves = [leaf for leaf in map(as_array, arrays(batch)) if leaf is not None]
            leaves = [leaf for leaf in leaves if leaf.ndim and leaf.shape[0] == len(ids)]
            if any(holds(self._declared, self._contents, leaf, ids, altered=False) for leaf in leaves):
                return False
            self._searches += 1
            return self._searches <= SEARCHES and any(self._any_elsewhere(leaf, ids) for leaf in leaves)
        except (CoverageAuditError, OSError):
            return False  # the files cannot be read: then they do not contradict anything

    @property
    def _places(self) -> range:
        return range(self._dataset.shards.n_ids)

    def _any_elsewhere(self, leaf: npt.NDArray[Any], ids: Ints) -> bool:
        at = np.unique(np.linspace(0, len(ids) - 1, min(SAMPLES, len(ids)), dtype=np.int64))
        if leaf[0].nbytes < WORTH:
            return False
        return any(self._is_elsewhere(leaf[place], int(ids[place])) for place in at)

    def _is_elsewhere(self, sample: npt.NDArray[Any], claimed: int) -> bool:
        offsets = self._dataset.shards.offsets
        home = int(np.searchsorted(offsets, claimed, side="right")) - 1
        row = claimed - int(offsets[home])
        for shard, facts in enumerate(self._dataset.shards.items[:FILES]):
            if self._is_small:
                rows = np.arange(facts.rows)
            elif shard != home and row < facts.rows:
                rows = np.array([row])
            else:
                continue
            stored = self._contents.read(shard, rows)
            if stored.dtype.hasobject or stored[:1].size != sample.size or stored.dtype.kind not in "biuf":
                continue
            same = (stored.reshape(len(rows), -1).astype(sample.dtype) == sample.reshape(1, -1)).all(axis=1)
            if bool(same.any()) and not (shard == home and bool(same[rows == row].any())):
                return True
        return False
