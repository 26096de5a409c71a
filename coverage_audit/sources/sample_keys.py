"""From what a WebDataset loader says of a sample, its shard and its key, to its row.

Keys are kept as 64 bits each (16 more once they are looked up). They come with the headers when a dataset is opened; a
dataset that was loaded from a manifest reads them again from its files when they are first asked for.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from coverage_audit.errors import DatasetError
from coverage_audit.model.rows import Ints
from coverage_audit.model.shards import Shards
from coverage_audit.sources.files import File, suffix_of
from coverage_audit.sources.tar_samples import SUFFIXES, hash_of, read_tar_header

if TYPE_CHECKING:
    from coverage_audit.sources.dataset import Dataset

Hashes = npt.NDArray[np.uint64]

ABSENT = -1
"""In place of a row: no sample of the data has this key."""

SEVERAL = -2
"""In place of a row: several samples have this key, so it does not say which one it is."""


class SampleKeys:
    """The samples of a dataset by shard and key. ``hashes``: per shard the hashes of its keys, None if it has none."""

    def __init__(self, shards: Shards, hashes: Sequence[Hashes | None]) -> None:
        self._offsets = shards.offsets
        ids = [
            np.arange(start, start + len(keys), dtype=np.int64)
            for start, keys in zip(self._offsets[:-1].tolist(), hashes, strict=True)
            if keys is not None
        ]
        self._ids: Ints = np.concatenate(ids) if ids else np.empty(0, np.int64)
        self._hashes: Hashes = np.concatenate([np.empty(0, np.uint64), *(h for h in hashes if h is not None)])
        self._of_pairs: tuple[Hashes, Ints] | None = None
        self._of_keys: tuple[Hashes, Ints] | None = None

    def find(self, shards: Sequence[int], keys: Sequence[str]) -> Ints:
        """int64 (n,): the sample id of each key in its shard (-1: in no shard); :data:`ABSENT` or :data:`SEVERAL`."""
        if self._of_pairs is None:
            shard = np.searchsorted(self._offsets, self._ids, side="right") - 1
            self._of_pairs = self._sorted(self._hashes ^ _mixed(shard))
        at = np.asarray(shards, np.int64)
        found = _look_up(*self._of_pairs, _hashed(keys) ^ _mixed(at))
        return np.where(at < 0, ABSENT, found)

    def find_anywhere(self, keys: Sequence[str]) -> Ints:
        """As :meth:`find`, in whichever shard; a key that two shards have is :data:`SEVERAL`."""
        if self._of_keys is None:
            self._of_keys = self._sorted(self._hashes)
        return _look_up(*self._of_keys, _hashed(keys))

    def _sorted(self, hashes: Hashes) -> tuple[Hashes, Ints]:
        order = np.argsort(hashes, kind="stable")
        return hashes[order], self._ids[order]


class ShardNames:
    """Which shard a url means: by the file, where it is on this machine, else by the end of its address."""

    def __init__(self, dataset: Dataset) -> None:
        self._by_path = {os.path.realpath(p): at for at, p in enumerate(dataset.paths) if p is not None}
        self._remote = [(shard.name, at) for at, shard in enumerate(dataset.shards)]
        self._known: dict[str, int] = {}

    def shard_of(self, url: str) -> int:
        """The shard's number; -1 if it is none of the data's, or if the url fits several."""
        known = self._known.get(url)
        if known is None:
            known = self._known[url] = self._find(url)
        return known

    def _find(self, url: str) -> int:
        local = url.removeprefix("file://").removeprefix("file:")
        if "://" not in local and not local.startswith("pipe:"):
            return self._by_path.get(os.path.realpath(local), -1)
        words = [word.partition("?")[0] for word in re.split(r"[\s'\"]+", local)]
        fits = [at for name, at in self._remote if any(word == name or word.endswith("/" + name) for word in words)]
        return fits[0] if len(fits) == 1 else -1


def read_sample_keys(dataset: Dataset) -> SampleKeys | None:
    """The keys of a dataset's .tar shards, read from their files; None if it has no such shard.

    Raises :class:`DatasetError`: no-files, damaged-file, changed-file.
    """
    hashes: list[Hashes | None] = []
    for path, shard in zip(dataset.paths, dataset.shards, strict=True):
        if path is None or suffix_of(path.name) not in SUFFIXES:
            hashes.append(None)
            continue
        try:
            stream, _, _ = File(str(path)).open()
            with stream:
                header = read_tar_header(stream, str(path))
        except OSError as error:
            raise DatasetError(
                f"{path} cannot be read ({error.strerror or error}), so its samples cannot be told by their keys",
                slug="no-files",
            ) from error
        if header.rows != shard.rows:
            raise DatasetError(
                f"{path} has {header.rows:,} samples, and was declared with {shard.rows:,}: open the dataset again",
                slug="changed-file",
            )
        hashes.append(header.hashes)
    return None if all(h is None for h in hashes) else SampleKeys(dataset.shards, hashes)


def _hashed(keys: Sequence[str]) -> Hashes:
    return np.fromiter((hash_of(key) for key in keys), np.uint64, len(keys))


def _mixed(shards: Ints) -> Hashes:
    """Well spread 64 bits per shard number (the finalizer of splitmix64, https://prng.di.unimi.it/splitmix64.c)."""
    with np.errstate(over="ignore"):
        z = (shards.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Hashes = z ^ (z >> np.uint64(31))
    return mixed


def _look_up(hashes: Hashes, ids: Ints, wanted: Hashes) -> Ints:
    low = np.searchsorted(hashes, wanted, side="left")
    many = np.searchsorted(hashes, wanted, side="right") - low
    if not len(ids):
        return np.full(len(wanted), ABSENT, np.int64)
    found = ids[np.minimum(low, len(ids) - 1)]
    return np.where(many == 1, found, np.where(many == 0, ABSENT, SEVERAL))
