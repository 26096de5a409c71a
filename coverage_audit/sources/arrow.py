"""The rows of an Arrow file, as Hugging Face datasets keeps them: an IPC stream, or the IPC file format.

Format: https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc. A stream
has no footer, so the metadata of its batches is walked through; their bodies are skipped.
"""

from __future__ import annotations

import os
from typing import IO, Any

from coverage_audit.errors import DatasetError
from coverage_audit.sources.npy import Header

SUFFIX = ".arrow"

_FILE_MAGIC = b"ARROW1"


def is_cache(name: str) -> bool:
    """Whether Hugging Face datasets gives this name to the result of a ``map`` or ``filter``, beside its data."""
    return name.startswith(("cache-", "tmp")) and name.endswith(SUFFIX)


def read_arrow_header(stream: IO[bytes], name: str) -> Header:
    """Number of rows and the columns; of a file on this machine, the data is mapped and not read.

    Raises :class:`DatasetError` (damaged-file) if this is no Arrow data, or if it is cut short.
    """
    import pyarrow as pa

    is_file = stream.read(len(_FILE_MAGIC)) == _FILE_MAGIC
    stream.seek(0)
    source: Any = pa.memory_map(name) if os.path.isfile(name) and os.path.getsize(name) else stream
    try:
        if is_file:
            reader = pa.ipc.open_file(source)
            rows = sum(reader.get_batch(at).num_rows for at in range(reader.num_record_batches))
        else:
            reader = pa.ipc.open_stream(source)
            rows = sum(batch.num_rows for batch in reader)
        columns = "; ".join(f"{field.name} {field.type}" for field in reader.schema)
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DatasetError(
            f"{name} is not a whole Arrow file ({error}): write it again, or leave it out", slug="damaged-file"
        ) from error
    return Header(rows, columns)
