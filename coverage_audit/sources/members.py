"""The arrays inside one file: which one is meant, or whether all of them hold the same rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from coverage_audit.errors import DatasetError
from coverage_audit.sources.npy import Header


class Members(NamedTuple):
    """``headers``: every array in the file ``name``, by its name there."""

    name: str
    headers: Mapping[str, Header]

    def pick(self, member: str) -> Header:
        """The array of this name. Raises :class:`DatasetError` (no-member)."""
        if member not in self.headers:
            raise DatasetError(
                f"{self.name} has no member {member!r}: it has {', '.join(self.headers) or 'none'}", slug="no-member"
            )
        return self.headers[member]

    def together(self) -> Header:
        """All arrays as columns of the same rows; 0-d ones are not data.

        Raises :class:`DatasetError`: uneven-members if they have different lengths, no-member if there are none.
        """
        if not self.headers:
            raise DatasetError(
                f"{self.name} has no array at its top level: name one that lies deeper, as in '{self.name}::group/x', "
                "or leave the file out",
                slug="no-member",
            )
        arrays = {key: header for key, header in self.headers.items() if header.rows is not None}
        if len({header.rows for header in arrays.values()}) > 1:
            lengths = ", ".join(f"{key} {header.rows:,}" for key, header in arrays.items())
            raise DatasetError(
                f"the members of {self.name} have different lengths ({lengths}): name the one whose rows are trained, "
                f"as in '{self.name}::{next(iter(arrays))}'",
                slug="uneven-members",
            )
        if not arrays:
            return Header(None, "")
        return Header(next(iter(arrays.values())).rows, "; ".join(f"{k} {h.kind}" for k, h in sorted(arrays.items())))


def missing_extra(name: str, package: str, extra: str) -> DatasetError:
    """The error for a file that only an optional package can read."""
    return DatasetError(
        f"{name} needs {package}, which is not installed: pip install 'coverage-audit[{extra}]'", slug="missing-extra"
    )
