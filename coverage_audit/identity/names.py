"""Rows that are named by the keys of WebDataset samples, alone or with the url of their shard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from coverage_audit.errors import DatasetError
from coverage_audit.identity.batches import Answer, Identified, Notice, Unknown
from coverage_audit.model.event import Found, MarkKind
from coverage_audit.model.rows import Ints
from coverage_audit.sources.sample_keys import SEVERAL, SampleKeys, ShardNames

if TYPE_CHECKING:
    from coverage_audit.sources.dataset import Dataset


class Names:
    """Looks names up in the declared data; its keys are read when the first name comes."""

    def __init__(self, dataset: Dataset | None) -> None:
        self._dataset = dataset
        self._keys: SampleKeys | Unknown | None = None
        self._shards: ShardNames | None = None
        self._is_told = False

    def rows(self, names: Any) -> Answer | Identified:
        """``names``: an array of text, (n,) keys or (n, 2) of (url, key).

        A name that the data does not have is row -1; the first such is warned of. Unknown where several samples have
        a name, or where the declared data has no names.
        """
        count = len(names)
        if names.ndim == 1:
            return self.keyed([str(key) for key in names])
        if names.ndim == 2 and names.shape[1] == 2:
            return self.paired([(str(url), str(key)) for url, key in names])
        return Unknown(count, "the ids are neither keys nor (url, key) pairs", f"their shape is {names.shape}")

    def paired(self, pairs: Sequence[tuple[str, str]]) -> Answer | Identified:
        """The rows of (url, key) pairs."""
        keys = self._table(len(pairs))
        if isinstance(keys, Unknown):
            return keys
        if self._shards is None:
            assert self._dataset is not None
            self._shards = ShardNames(self._dataset)
        shards = [self._shards.shard_of(url) for url, _ in pairs]
        return self._answer(keys.find(shards, [key for _, key in pairs]), pairs)

    def keyed(self, keys: Sequence[str]) -> Answer | Identified:
        """The rows of keys of which the shard is not known."""
        table = self._table(len(keys))
        return table if isinstance(table, Unknown) else self._answer(table.find_anywhere(keys), keys)

    def _table(self, count: int) -> SampleKeys | Unknown:
        if self._keys is None:
            self._keys = self._read()
        return self._keys if isinstance(self._keys, SampleKeys) else self._keys._replace(length=count)

    def _read(self) -> SampleKeys | Unknown:
        if self._dataset is None:
            return Unknown(-1, "no data is declared to find samples in")
        try:
            found = self._dataset.sample_keys()
        except DatasetError as error:
            return Unknown(-1, "the keys of the data cannot be read", str(error))
        if found is None:
            return Unknown(-1, "the ids are names, and the declared data has none: open its .tar files")
        return found

    def _answer(self, rows: Ints, names: Sequence[Any]) -> Answer | Identified:
        if rows.size and int(rows.min()) < 0:
            if (rows == SEVERAL).any():
                at = int(np.flatnonzero(rows == SEVERAL)[0])
                return Unknown(len(rows), "several samples of the data have one name", f"such as {names[at]!r}")
            if not self._is_told:
                self._is_told = True
                at = int(np.flatnonzero(rows < 0)[0])
                reason = f"the declared data has no sample {names[at]!r}"
                said = f"{reason}: it counts as a row outside of the data (-1); declare the shards that are read"
                return Identified(int(Found.EXPLICIT), rows, (Notice(MarkKind.UNIDENTIFIED, {"reason": reason}, said),))
        return rows
