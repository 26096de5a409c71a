"""The rows of a Parquet file, from its footer. Format: https://parquet.apache.org/docs/file-format/"""

from __future__ import annotations

from typing import IO

from coverage_audit.errors import DatasetError
from coverage_audit.sources.npy import Header

SUFFIX = ".parquet"


def read_parquet_header(stream: IO[bytes], name: str) -> Header:
    """Number of rows and the columns; of the data, nothing is read.

    Raises :class:`DatasetError` (damaged-file) if the file has no footer, as one that is still being written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_metadata(stream)
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DatasetError(
            f"{name} is not a whole Parquet file ({error}): write it again, or leave it out", slug="damaged-file"
        ) from error
    columns = "; ".join(f"{field.name} {field.type}" for field in metadata.schema.to_arrow_schema())
    return Header(metadata.num_rows, columns)
