"""What h5py and zarr read from their stores, followed. Neither is imported here."""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, NamedTuple

import numpy as np

from coverage_audit.identity.origins import ORIGINS, Origin
from coverage_audit.identity.provenance import shadow_of, track
from coverage_audit.identity.reads import READS
from coverage_audit.identity.shadows import Shadow, Span
from coverage_audit.recorder.follow import FOLLOW, tell
from coverage_audit.recorder.patches import Function, Patches
from coverage_audit.recorder.selections import rows_at, rows_selected, whole
from coverage_audit.sources.zarr_store import metadata_of


class _Array(NamedTuple):
    """An array of a store: its origin (None: nobody wants to know of it), how many axes it has, and what it holds."""

    origin: Origin | None
    n_axes: int
    dtype: np.dtype[Any]


_NOBODYS = _Array(None, 0, np.dtype(np.void))


_known: dict[int, tuple[weakref.ref[Any], _Array]] = {}

Select = Callable[[Any, _Array, Origin], Shadow | None]


def patch(module_name: str, patches: Patches) -> bool:
    """Hook a module, if it is imported; says whether it is."""
    module = sys.modules.get(module_name)
    if module is None or getattr(getattr(module, "__spec__", None), "_initializing", False):
        return False  # one that is being imported right now has a hook of its own at its end
    PATCHES[module_name](module, patches)
    return True


def forget() -> None:
    """Look every array up anew."""
    _known.clear()


def _patch_h5py(h5py: Any, patches: Patches) -> None:
    patches.replace(h5py.Dataset, "__getitem__", _following(_h5_array, _h5_rows))
    patches.replace(h5py.Dataset, "__array__", _following(_h5_array, _everything))
    patches.replace(h5py.Dataset, "read_direct", _read_direct)


def _patch_zarr(zarr: Any, patches: Patches) -> None:
    patches.replace(zarr.Array, "get_basic_selection", _following(_zarr_array, _by_axis))
    patches.replace(zarr.Array, "get_orthogonal_selection", _following(_zarr_array, _by_axis))
    patches.replace(zarr.Array, "get_coordinate_selection", _following(_zarr_array, _by_value))
    patches.replace(zarr.Array, "get_mask_selection", _following(_zarr_array, _by_value))
    patches.replace(zarr.Array, "__array__", _following(_zarr_array, _everything))


PATCHES: dict[str, Callable[[Any, Patches], None]] = {"h5py": _patch_h5py, "zarr": _patch_zarr}


def _following(look_up: Callable[[Any], _Array], select: Select) -> Callable[[Function], Function]:
    """A hook on a method that reads what its first argument selects."""

    def make(original: Function) -> Function:
        @wraps(original)
        def read(self: Any, *args: Any, **options: Any) -> Any:
            array = FOLLOW.follow(None, lambda: _recall(self, look_up)) if FOLLOW.wanted else None
            if array is None or array.origin is None:
                return original(self, *args, **options)
            with READS.ours():
                result = original(self, *args, **options)
            return FOLLOW.follow(result, lambda: _follow(result, array, lambda: select(args, array, array.origin)))

        return read

    return make


def _follow(result: Any, array: _Array, select: Callable[[], Shadow | None]) -> Any:
    with READS.ours():  # a selection may be an array of a store itself
        rows = select()
    if rows is None:
        return result
    tell(rows)
    if type(result) is not np.ndarray or result.dtype.hasobject or not _fits(rows, result):
        return result
    return track(result, rows) if _is_of(array.dtype, result.dtype) else result


def _is_of(stored: np.dtype[Any], read: np.dtype[Any]) -> bool:
    """Whether values were read as they are, as some of their fields, or by a cast that numpy would do the same way."""
    return stored.names is not None or np.can_cast(stored, read, "same_kind")


def _fits(rows: Shadow, result: np.ndarray[Any, Any]) -> bool:
    if isinstance(rows, np.ndarray) and rows.ndim == 0:
        return True
    length = rows.length if isinstance(rows, Span) else len(rows)
    return result.ndim > 0 and result.shape[0] == length


def _by_axis(args: tuple[Any, ...], array: _Array, origin: Origin) -> Shadow | None:
    return rows_selected(args[0] if args else Ellipsis, array.n_axes, origin)


def _by_value(args: tuple[Any, ...], _array: _Array, origin: Origin) -> Shadow | None:
    return rows_at(args[0], origin) if args else None


def _everything(_args: tuple[Any, ...], _array: _Array, origin: Origin) -> Shadow | None:
    return whole(origin)


def _h5_rows(args: tuple[Any, ...], array: _Array, origin: Origin) -> Shadow | None:
    if not args:
        return None
    selection = args[0] if isinstance(args[0], tuple) else (args[0],)
    return rows_selected(tuple(s for s in selection if not isinstance(s, str)), array.n_axes, origin)


def _read_direct(original: Function) -> Function:
    """Reads into an array of the caller's, which can not be made to remember; what it remembered is over."""

    @wraps(original)
    def read_direct(self: Any, dest: Any, source_sel: Any = None, dest_sel: Any = None) -> Any:
        if not FOLLOW.wanted:
            return original(self, dest, source_sel, dest_sel)
        with READS.ours():
            result = original(self, dest, source_sel, dest_sel)
        return FOLLOW.follow(result, lambda: _told(self, dest, source_sel))

    return read_direct


def _told(thing: Any, dest: Any, source_sel: Any) -> None:
    if shadow_of(dest) is not None:
        dest[...] = np.array(dest)  # values of nowhere
    array = _recall(thing, _h5_array)
    if array.origin is not None:
        rows = _h5_rows((() if source_sel is None else source_sel,), array, array.origin)
        if rows is not None:
            tell(rows)


def _recall(thing: Any, look_up: Callable[[Any], _Array]) -> _Array:
    """What is known of an open array. Asking h5py for the name of a file takes longer than reading a batch."""
    known = _known.get(id(thing))
    if known is not None and known[0]() is thing:
        return known[1]
    key = id(thing)

    def gone(dead: weakref.ref[Any]) -> None:
        if key in _known and _known[key][0] is dead:
            del _known[key]

    with READS.ours():
        array = look_up(thing)
    _known[key] = weakref.ref(thing, gone), array
    return array


def _h5_array(dataset: Any) -> _Array:
    shape, name = dataset.shape, dataset.name
    path = _h5_path(dataset.file) if shape and name is not None else None
    if path is None:
        return _NOBODYS
    return _Array(ORIGINS.opened(path, name.strip("/"), int(shape[0])), len(shape), dataset.dtype)


def _h5_path(file: Any) -> str | None:
    """Where an HDF5 file is, if that is the file that is open: relative names mean another one after a chdir."""
    if file.driver != "sec2" or not ORIGINS.wants(file.filename):
        return None
    return file.filename if os.path.samestat(os.fstat(file.id.get_vfd_handle()), os.stat(file.filename)) else None


def _zarr_array(array: Any) -> _Array:
    root = getattr(array.store, "root", None)  # of a store in a folder
    shape = array.shape
    if not shape or not isinstance(root, (str, os.PathLike)):
        return _NOBODYS
    for folder, member in _names(os.fspath(root), array.path):
        origin = ORIGINS.opened(folder, member, int(shape[0])) if os.path.isdir(folder) else None
        if origin is not None:
            return _Array(origin, len(shape), np.dtype(array.dtype))
    return _NOBODYS


def _names(root: str, path: str) -> Iterator[tuple[str, str]]:
    """As what one array may have been declared: an array of its store, or of any group above it."""
    yield root, path
    folder, member = os.path.join(root, *path.split("/")) if path else root, ""
    while metadata_of(folder) is not None:
        yield folder, member
        folder, name = os.path.split(folder)
        member = f"{name}/{member}" if member else name
