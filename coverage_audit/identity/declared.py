"""The rows of the declared data among all rows that were opened: from row ids to sample ids."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from coverage_audit.identity.batches import NO_IDS, Answer, Run
from coverage_audit.identity.origins import ORIGINS, Origin, Origins
from coverage_audit.identity.shadows import Shadow, Span, Windows, ids_of
from coverage_audit.model.event import BatchRows
from coverage_audit.model.rows import Ints

OWN = 0
"""The role of a shard's own file; partners that hold the same rows have roles from 1 on."""


class Home(NamedTuple):
    """Where an origin belongs: rows of ``shard``, in the file that plays ``role``."""

    shard: int
    role: int


class Told(NamedTuple):
    """What one array says: rows (a Run with a shard, sample ids, or runs), and in which role."""

    role: int
    rows: Answer


class Declared:
    """The files of a dataset.

    ``paths``, ``members``: per shard its file (None for none) and the array inside it ("" for all of them).
    ``partners``: per shard the files of the same rows. ``rows``: per shard. ``origins``: the table to look into.
    """

    def __init__(
        self,
        paths: Sequence[Path | None],
        members: Sequence[str],
        partners: Sequence[Sequence[Path]],
        rows: Sequence[int],
        origins: Origins = ORIGINS,
    ) -> None:
        self.rows = tuple(rows)
        self.offsets: Ints = np.concatenate(([0], np.cumsum(np.asarray(rows, np.int64)))).astype(np.int64)
        self._origins = origins
        self._own: dict[str, dict[str, int]] = {}
        self._partner: dict[str, tuple[int, int]] = {}
        for shard, (path, member) in enumerate(zip(paths, members, strict=True)):
            if path is not None:
                self._own.setdefault(os.path.realpath(path), {})[member] = shard
        for shard, group in enumerate(partners):
            for role, path in enumerate(group, start=1):
                self._partner[os.path.realpath(path)] = (shard, role)
        self._homes: dict[int, Home | None] = {}
        self._forgotten: set[str] = set()
        shared = _shared_folder([*(path for path in paths if path is not None), *(p for g in partners for p in g)])
        self._named = [_name(path, member, shared) for path, member in zip(paths, members, strict=True)]
        self._partners_named = [tuple(_name(path, "", shared) for path in group) for group in partners]
        self._deltas: tuple[Ints, Ints] = (NO_IDS, NO_IDS)

    def name_of(self, shard: int, role: int = OWN) -> str:
        """What to call the file (and the array in it) that plays ``role`` for a shard: 'x_2.npy', 'all.h5::x'."""
        partners = self._partners_named[shard] if shard < len(self._partners_named) else ()
        if role == OWN:
            return self._named[shard] or f"shard {shard}"
        if role <= len(partners):
            return partners[role - 1]
        return f"another array of {self._named[shard]}"

    def home(self, origin: Origin) -> Home | None:
        """Which shard an origin holds; None if it is of other data, has another number of rows, or was replaced."""
        if origin.base not in self._homes:
            self._homes[origin.base] = self._find(origin)
        return self._homes[origin.base]

    def home_of(self, path: str) -> Home | None:
        """Whose rows a file (its real path) holds, whatever it holds now; None if it is not declared."""
        own = self._own.get(path)
        if own is not None and "" in own:
            return Home(own[""], OWN)
        known = self._partner.get(path)
        return None if known is None else Home(*known)

    def forget_changed(self, shards: Ints) -> None:
        """Of those files of these shards that are no longer what they were, no row is known any more."""
        of_batch = set(np.unique(shards).tolist())
        for path, members in self._own.items():
            if path in self._forgotten or of_batch.isdisjoint(members.values()):
                continue
            if not self._origins.unchanged(path):
                self._forgotten.add(path)
                self._homes.clear()
                self._deltas = (NO_IDS, NO_IDS)

    def replaced(self, shadow: Shadow) -> str | None:
        """The path of a declared file that changed before these rows were read, or since; None if none did."""
        ids = ids_of(shadow).reshape(-1)
        known = ids[ids >= 0]
        if not known.size:
            return None
        origin = self._origins.at(int(known[0]))
        path = origin.key.path
        if path in self._forgotten:
            return path
        return path if origin.replaced and (path in self._own or path in self._partner) else None

    def _find(self, origin: Origin) -> Home | None:
        if origin.replaced or origin.key.path in self._forgotten:
            return None
        path, member = origin.key.path, origin.key.member
        own = self._own.get(path)
        if own is not None:
            shard = own.get(member, own.get(""))
            if shard is None or self.rows[shard] != origin.rows:
                return None
            # Without a named member all arrays of an archive hold the shard's rows; the first one seen is its own.
            if member in own:
                return Home(shard, OWN)
            return Home(shard, self._members_of(path).index(member))
        if path in self._partner:
            shard, role = self._partner[path]
            return Home(shard, role) if self.rows[shard] == origin.rows else None
        return None

    def _members_of(self, path: str) -> list[str]:
        """The arrays of an archive that were opened, in that order."""
        return list(dict.fromkeys(o.key.member for o in self._origins.all() if o.key.path == path))

    def tell(self, shadow: Shadow) -> Told | None:
        """What these row ids are in the declared data; None unless every one of them is known and declared."""
        if isinstance(shadow, Span):
            return self._tell_span(shadow)
        if isinstance(shadow, Windows):
            return self._tell_windows(shadow)
        ids = shadow if shadow.ndim else shadow.reshape(1)
        if not ids.size:
            return Told(OWN, NO_IDS)
        found = self._sample_ids(ids)
        return None if found is None else Told(found[0], found[1])

    def _tell_span(self, span: Span) -> Told | None:
        first, step, length = span
        if length == 0:
            return Told(OWN, NO_IDS)
        try:
            origin = self._origins.at(first)
        except LookupError:
            return None
        last = first + step * (length - 1)
        home = self.home(origin)
        if home is None or not origin.base <= last < origin.base + origin.rows:
            return None
        row = first - origin.base
        if step == 1 or length == 1:
            return Told(home.role, Run(home.shard, row, length))
        start = int(self.offsets[home.shard]) + row
        return Told(home.role, start + step * np.arange(length, dtype=np.int64))

    def _tell_windows(self, windows: Windows) -> Told | None:
        firsts, length = windows
        if not firsts.size or length == 0:
            return Told(OWN, NO_IDS)
        found = self._sample_ids(firsts)
        if found is None or self._sample_ids(firsts + (length - 1)) is None:
            return None
        role, ids = found
        shards = (np.searchsorted(self.offsets, ids, side="right") - 1).astype(np.int64)
        rows = ids - self.offsets[shards]
        if np.any(rows + length > np.asarray(self.rows, np.int64)[shards]):
            return None
        runs = np.stack((shards, rows, np.full(len(rows), length, np.int64)), axis=1)
        return Told(role, BatchRows(len(rows) * length, runs=runs))

    def _sample_ids(self, ids: Ints) -> tuple[int, Ints] | None:
        """(role, sample ids); None if any is unknown, of other data, or if they play different roles."""
        low, high = int(np.minimum.reduce(ids)), int(np.maximum.reduce(ids))
        if low < 0:
            return None
        origin = self._origins.at(low)
        if high < origin.base + origin.rows:
            home = self.home(origin)
            return None if home is None else (home.role, ids + (int(self.offsets[home.shard]) - origin.base))
        bases = self._origins.bases
        deltas, roles = self._tables(len(bases))
        at = np.searchsorted(bases, ids, side="right") - 1
        role = roles[at]
        if role[0] < 0 or np.any(role != role[0]):
            return None
        return int(role[0]), ids + deltas[at]

    def _tables(self, n: int) -> tuple[Ints, Ints]:
        """Per origin: what leads from its ids to sample ids, and its role (-1: not declared)."""
        if len(self._deltas[0]) < n:
            origins = self._origins.all()[:n]
            homes = [self.home(o) for o in origins]
            self._deltas = (
                np.array(
                    [0 if h is None else self.offsets[h.shard] - o.base for o, h in zip(origins, homes, strict=True)],
                    np.int64,
                ),
                np.array([-1 if h is None else h.role for h in homes], np.int64),
            )
        return self._deltas


def _shared_folder(paths: Sequence[Path]) -> str:
    """The folder below which all files are; "" if there is none."""
    folders = {os.path.dirname(os.path.abspath(path)) for path in paths}
    try:
        return os.path.commonpath(folders)
    except ValueError:  # no paths, or on two drives
        return ""


def _name(path: Path | None, member: str, shared: str) -> str:
    """The path below the shared folder, with its member; "" for none."""
    if path is None:
        return ""
    below = os.path.relpath(path, shared) if shared else str(path)
    return f"{below}::{member}" if member else below
