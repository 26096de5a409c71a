"""The rows of a .npz archive from its members' headers; compressed members are inflated no further than that."""

from __future__ import annotations

import zipfile
import zlib
from typing import IO

from coverage_audit.errors import DatasetError
from coverage_audit.sources.npy import Header, read_header


def read_archive_header(stream: IO[bytes], name: str, member: str | None) -> Header:
    """The rows of one member, or of all of them if they are of one length (0-d members are not data).

    Raises :class:`DatasetError`: damaged-file, no-member, uneven-members.
    """
    try:
        with zipfile.ZipFile(stream) as archive:
            headers = {info.filename.removesuffix(".npy"): _member(archive, info, name) for info in archive.infolist()}
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:  # RuntimeError: encrypted, or unknown
        raise DatasetError(
            f"{name} is not a whole .npz archive ({error}): write it again with numpy.savez, or leave it out",
            slug="damaged-file",
        ) from error
    if member is not None:
        if member not in headers:
            raise DatasetError(
                f"{name} has no member {member!r}: it has {', '.join(headers) or 'none'}", slug="no-member"
            )
        return headers[member]
    arrays = {key: header for key, header in headers.items() if header.rows is not None}
    if len({header.rows for header in arrays.values()}) > 1:
        lengths = ", ".join(f"{key} {header.rows:,}" for key, header in arrays.items())
        raise DatasetError(
            f"the members of {name} have different lengths ({lengths}): name the one whose rows are trained, "
            f"as in '{name}::{next(iter(arrays))}'",
            slug="uneven-members",
        )
    if not arrays:
        return Header(None, "")
    return Header(next(iter(arrays.values())).rows, "; ".join(f"{k} {h.kind}" for k, h in sorted(arrays.items())))


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> Header:
    with archive.open(info) as stream:
        return read_header(stream, f"{name}::{info.filename.removesuffix('.npy')}", info.file_size)
