"""How one event lies in a journal: a header of 64 bytes, then its payload, padded to 8 bytes.

Integers are little-endian. The first header word says the format; another format gets another word. The last word is
the xxh3-64 of the header before it, which holds the xxh3-64 of the payload: a whole event is one whose two digests
are right, so whatever a crash left behind it is not taken for one.
"""

from __future__ import annotations

import enum
import json
import struct
from typing import Final

from xxhash import xxh3_64_digest, xxh3_64_intdigest

from coverage_audit.model.event import Mark, MarkKind

MAGIC: Final = 0x314A_4143  # the bytes b"CAJ1"


class Frame(enum.IntEnum):
    """What a header announces; in brackets the payload and the meaning of ``a`` and ``b``."""

    IDS = 1  # [int64 ids]
    RUN = 2  # [nothing; a: shard, -1 where b is a sample id; b: first row]
    PAIRS = 3  # [int64 rows, then int32 shards]
    RUNS = 4  # [int64 (a, 3): shard, first row, count]
    UNKNOWN = 5  # [nothing]
    CONSUMED = 6  # [nothing; number: steps]
    MARK = 7  # [a bytes of JSON]
    IDS_SMALL = 8  # [int32 ids, all of them in 0..2^31-1]


# magic, frame, found, split, pass, worker, segment, count, number, time_ns, a, b, digest of the payload
HEAD: Final = struct.Struct("<IBBHiiiiqqqqQ")
HEADER_BYTES: Final = HEAD.size + 8
EMPTY: Final = xxh3_64_intdigest(b"")

Head = tuple[int, int, int, int, int, int, int, int, int, int, int, int, int]


# Members of an enumeration take their time; these are asked once per event.
_IDS, _IDS_SMALL, _PAIRS = int(Frame.IDS), int(Frame.IDS_SMALL), int(Frame.PAIRS)
_RUNS, _MARK = int(Frame.RUNS), int(Frame.MARK)


def payload_bytes(head: Head) -> int:
    """How many bytes follow this header; 0 for a frame without payload."""
    frame = head[1]
    if frame == _IDS:
        return 8 * head[7]
    if frame == _IDS_SMALL:
        return 4 * head[7] + 4 * (head[7] % 2)
    if frame == _PAIRS:
        return 12 * head[7] + 4 * (head[7] % 2)
    if frame == _RUNS:
        return 24 * head[10]
    if frame == _MARK:
        return head[10] + -head[10] % 8
    return 0


def is_whole(header: bytes | memoryview) -> bool:
    """Whether these 64 bytes are a header as it was written."""
    return xxh3_64_digest(header[: HEAD.size]) == header[HEAD.size : HEADER_BYTES]


def mark_to_bytes(mark: Mark) -> bytes:
    """JSON of a mark, without its time; what JSON does not know is kept as its text."""
    facts = {"kind": mark.kind.value, "split": mark.split, "data": mark.data}
    return json.dumps(facts, default=str, separators=(",", ":")).encode()


def mark_from_bytes(payload: bytes, time_ns: int) -> Mark:
    """Inverse of :func:`mark_to_bytes`, for data that JSON knows."""
    facts = json.loads(payload)
    return Mark(MarkKind(facts["kind"]), facts["split"], time_ns, facts["data"])
