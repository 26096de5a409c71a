"""The rows of a .npz archive from its members' headers; compressed members are inflated no further than that."""

from __future__ import annotations

import zipfile
import zlib
from typing import IO

from coverage_audit.errors import DatasetError
from coverage_audit.sources.members import Members
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
    members = Members(name, headers)
    return members.together() if member is None else members.pick(member)


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> Header:
    with archive.open(info) as stream:
        return read_header(stream, f"{name}::{info.filename.removesuffix('.npy')}", info.file_size)
