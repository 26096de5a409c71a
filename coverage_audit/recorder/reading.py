"""While recording, what is read from the files of the data remembers its rows: hooks on numpy, h5py and zarr.

Arrays of files that :data:`ORIGINS` does not want, and what coverage-audit reads for itself, come out as ever. A hook
calls the original first and lets its exceptions through; a failure of ours leaves the original's result as it is and
warns once. What numpy has no hook for stays unknown: ``np.frombuffer``, ``file.readinto``, functions that a module
imported by name before recording began (``from numpy import fromfile``; ``from numpy import load`` is served).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from coverage_audit.identity.origins import ORIGINS
from coverage_audit.locks import new_lock
from coverage_audit.recorder import reading_arrays, reading_stores
from coverage_audit.recorder.follow import FOLLOW
from coverage_audit.recorder.patches import Patches

if TYPE_CHECKING:
    from coverage_audit.sources.dataset import Dataset

_lock = new_lock(sys.modules[__name__])
_patches = Patches()
_patched_modules: set[str] = set()
_installed = 0


def install() -> None:
    """Put the hooks in place; counted, so that each call needs one of :func:`uninstall`."""
    global _installed  # noqa: PLW0603 - there is one numpy
    with _lock:
        _installed += 1
        reading_stores.forget()  # more files may be wanted than when these were looked up
        if _installed == 1:
            reading_arrays.patch(_patches)
            FOLLOW.active = True
        for name in reading_stores.PATCHES:
            install_for(name)


def install_for(module_name: str) -> None:
    """Hook "h5py" or "zarr" if it is imported by now and recording goes on; never imports it."""
    with _lock:
        if _installed and module_name not in _patched_modules and reading_stores.patch(module_name, _patches):
            _patched_modules.add(module_name)


def uninstall() -> None:
    """Take back one :func:`install`; with the last one everything is as it was before. More calls do nothing."""
    global _installed  # noqa: PLW0603
    with _lock:
        if _installed == 0:
            return
        _installed -= 1
        if _installed == 0:
            FOLLOW.active = False
            _patches.restore()
            _patched_modules.clear()
            reading_stores.forget()


def watch(dataset: Dataset) -> None:
    """Want the files of a dataset, partners included, and know the layouts of its flat files."""
    is_of_now = dataset.manifest is None  # a manifest may come from elsewhere, with other dates
    every = zip(dataset.paths, dataset.members, dataset.partners, dataset.shards, strict=True)
    for path, member, partners, shard in every:
        if path is None:
            continue
        watch_file(path, member)
        if is_of_now and shard.bytes is not None and shard.modified_ns is not None:
            ORIGINS.expect(os.path.realpath(path), shard.bytes, shard.modified_ns)
        for partner in partners:
            watch_file(partner)


def watch_file(path: Path, member: str = "") -> None:
    """Want one file; ``member`` as in Dataset. Raises ``DatasetError`` (raw-needs-type) if it is no type of rows."""
    if member and reading_arrays.is_flat(path):
        reading_arrays.PLACES.declare(path, member)
    ORIGINS.watch(os.path.realpath(path))
