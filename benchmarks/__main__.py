"""``python -m benchmarks [NAME...] [--quick | --large]``"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence

from benchmarks import counting, identifying, recording, startup, storage
from benchmarks.effort import FULL, LARGE, QUICK, Effort
from benchmarks.machine import describe_machine
from benchmarks.section import Section, render

BENCHMARKS: dict[str, Callable[[Effort], Section]] = {
    "recording": recording.measure,
    "identifying": identifying.measure,
    "storage": storage.measure,
    "counting": counting.measure,
    "startup": startup.measure,
}


def main(args: Sequence[str] | None = None) -> int:
    """Measure and print. The status says whether it could be measured, never whether an aim was met."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="What coverage-audit costs.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; all by default")
    effort = parser.add_mutually_exclusive_group()
    effort.add_argument("--quick", action="store_const", const=QUICK, dest="effort", help="small runs, half a minute")
    effort.add_argument(
        "--large", action="store_const", const=LARGE, dest="effort", help="10 M rows stored, more turns"
    )
    options = parser.parse_args(args)
    unknown = [name for name in options.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"{unknown[0]!r} is no benchmark: choose from {', '.join(BENCHMARKS)}")
    began = time.perf_counter()
    print(describe_machine())
    if options.effort is QUICK:
        print("a quick look: the aims are those of the full run, and runs this small miss some of them")
    for name in options.names or BENCHMARKS:
        print("\n" + render(BENCHMARKS[name](options.effort or FULL)), end="", flush=True)
    print(f"\nmeasured in {time.perf_counter() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
