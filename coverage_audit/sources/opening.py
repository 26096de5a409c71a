"""The files of a dataset, opened: their headers read, and refused where they cannot be rows of one dataset."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from coverage_audit.errors import DatasetError
from coverage_audit.sources import arrow, hdf5, parquet, tar_samples, zarr_store
from coverage_audit.sources.files import File, Group, is_url
from coverage_audit.sources.mixture import refuse_mixture
from coverage_audit.sources.npy import Header, read_header
from coverage_audit.sources.npz import read_archive_header
from coverage_audit.sources.progress import progress_of
from coverage_audit.sources.raw import row_type


def tell_progress(files: list[File]) -> AbstractContextManager[Callable[[int], object] | None]:
    """Told of the bytes that were passed, where headers lie all over the files."""
    large = [file for file in files if file.suffix in tar_samples.SUFFIXES]
    if not large:
        return nullcontext()
    total = sum(os.path.getsize(f.path) for f in large if f.path is not None and f.path.is_file())
    return progress_of(None, f"samples of {len(large):,} tar files", total)


def read_file(file: File, told: Callable[[int], object] | None = None) -> tuple[Header, int | None, int | None]:
    """Header, bytes, modification time."""
    suffix = file.suffix
    try:
        if suffix == zarr_store.SUFFIX:
            described = zarr_store.metadata_of(file.locator)
            modified = None if described is None else os.stat(described).st_mtime_ns
            return zarr_store.read_store_header(file.locator, file.member), None, modified
        stream, size, modified = file.open()
        with stream:
            if suffix == ".npz":
                return read_archive_header(stream, file.locator, file.member), size, modified
            if suffix in hdf5.SUFFIXES:
                return hdf5.read_hdf5_header(stream, file.locator, file.member), size, modified
            if suffix == parquet.SUFFIX:
                return parquet.read_parquet_header(stream, file.locator), size, modified
            if suffix == arrow.SUFFIX:
                return arrow.read_arrow_header(stream, file.locator), size, modified
            if suffix in tar_samples.SUFFIXES:
                return tar_samples.read_tar_header(stream, file.locator, told), size, modified
            if not suffix:
                size = stream.seek(0, os.SEEK_END) if size is None else size
                kind = row_type(file.member or "", file.locator)
                return kind.layout(file.locator, size).header, size, modified
            return read_header(stream, file.locator, size), size, modified
    except OSError as error:
        raise DatasetError(
            f"{file} cannot be read ({error.strerror or error}): check that it is there and may be read",
            slug="no-files",
        ) from error


def rows_in(header: Header, file: File) -> int:
    if header.rows is None:
        raise DatasetError(
            f"{file} is a 0-d array, which has no rows: leave it out of the data, or give it one axis",
            slug="no-rows-axis",
        )
    return header.rows


def check_group(group: Group, headers: list[Header]) -> None:
    if group.pattern is None or group.files[0].member is not None:
        return  # naming files, or one array of each, says that all of them hold rows
    relative = not os.path.isabs(group.pattern) and not is_url(group.pattern)
    names = [os.path.relpath(f.locator) if relative else f.locator for f in group.files]
    refuse_mixture(group.pattern, [name.replace(os.sep, "/") for name in names], headers)


def check_rows(file: File, rows: int, other: File, other_rows: int) -> None:
    if rows != other_rows:
        raise DatasetError(
            f"{other} has {other_rows:,} rows, its partner {file} has {rows:,}: aligned files hold the same rows",
            slug="unaligned-files",
        )


def refuse_same(files: list[File]) -> None:
    seen: dict[tuple[str, str | None], File] = {}
    for file in files:
        key = (file.locator if file.path is None else os.path.realpath(file.locator), file.member)
        if key in seen:
            raise DatasetError(
                f"{file} is named twice (first as {seen[key]}): name each file once", slug="same-shard-twice"
            )
        seen[key] = file
