"""Files on disk, a dataset of them, and a Content that looks at them with tables of its own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from coverage_audit.identity.content import Content
from coverage_audit.identity.declared import Declared
from coverage_audit.identity.origins import Key, Origin, Origins
from coverage_audit.identity.reads import Reads
from coverage_audit.identity.shadows import Span
from coverage_audit.sources.contents import Contents
from coverage_audit.sources.dataset import Dataset
from coverage_audit.sources.index import find_index

Array = np.ndarray[Any, Any]


class World:
    """``shards`` written to x_0.npy, x_1.npy, … in ``folder``, or an existing ``dataset``."""

    def __init__(self, folder: Path, shards: Sequence[Array] = (), dataset: Dataset | None = None) -> None:
        for at, shard in enumerate(shards):
            np.save(folder / f"x_{at}.npy", shard)
        self.dataset = (
            dataset if dataset is not None else Dataset.open([folder / f"x_{i}.npy" for i in range(len(shards))])
        )
        self.origins, self.reads = Origins(), Reads()
        rows = [shard.rows for shard in self.dataset.shards]
        self.declared = Declared(self.dataset.paths, self.dataset.members, self.dataset.partners, rows, self.origins)
        self.opened: list[Origin] = [
            self.origins.register(Key(os.path.realpath(str(path)), member, 1, 1), n)
            for path, member, n in zip(self.dataset.paths, self.dataset.members, rows, strict=True)
        ]

    def content(self, offset: int = 0) -> Content:
        return Content(
            self.declared,
            Contents(self.dataset),
            find_index(self.dataset),
            offset,
            self.dataset.shards.selected,
            self.reads,
        )

    def read(self, shard: int, first: int, length: int) -> None:
        """Tell that the user's code has read a slice of a shard."""
        self.reads.tell(Span(self.opened[shard].base + first, 1, length))

    def pick(self, shard: int, rows: Sequence[int]) -> None:
        """Tell that the user's code has read these rows of a shard."""
        self.reads.tell(np.array(rows, np.int64) + self.opened[shard].base)
