"""What helps where the rows of a batch are unknown, for somebody whose script knows nothing of us."""

from __future__ import annotations

import os
import re
import shlex

from coverage_audit.launch.options import Options

_SEEN_ELSEWHERE = re.compile("the batch holds rows that are not in the data")
_TOO_LARGE = re.compile(r"too many to be looked through .* Dataset\.index\(\)")


def remedy_of(options: Options, reason: str, detail: str) -> str:
    """The end of the sentence that says why rows are unknown. ``reason``, ``detail``: as recorders give them."""
    if _TOO_LARGE.search(detail):
        return f"index the data once, then run this again: {index_command(options)}"
    if _SEEN_ELSEWHERE.search(reason):
        return (
            "if the script changes values before they are trained on (normalises, crops), index the data once with the "
            "function that does it, Dataset.open(...).index(transform=function); else name all that it reads in --data"
        )
    return "`coverage-audit explain CA904` says what helps"


def index_command(options: Options) -> str:
    """What makes the content index of --data, for a shell."""
    below = os.path.join(options.folder, "")
    opened = [path.removeprefix(below) for path in options.data]
    code = f"import coverage_audit as ca; ca.Dataset.open({opened!r}).index()"
    quoted = f'"{code}"' if not set(code) & set('"$`\\!') else shlex.quote(code)
    return f"python -c {quoted}"
