"""One life of a hand-written loop that saves its weights and its recorder. Run by test_resumes.py.

    python resumed_loop.py FOLDER HOW DIE_AT

``HOW``: how the loader goes on: "exact", "begin" (its position is not restored, the number of steps is), "reshuffled"
(the order is drawn anew, then the batches trained on are skipped), "offset" (these are skipped in every epoch).
``DIE_AT``: after how many steps of this life it is killed, 0 for never. N rows in batches of B, E epochs, a checkpoint
every K steps. What the weights saw is kept in them, as a list of (epoch, row).
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from pathlib import Path

import coverage_audit as ca

N, B, E, K = 64, 4, 3, 6


def order(epoch: int, salt: int = 0) -> list[int]:
    rows = list(range(N))
    random.Random(f"{epoch}/{salt}").shuffle(rows)
    return rows


def main(folder: Path, how: str, die_at: int) -> None:
    path = folder / "checkpoint.json"
    saved = json.loads(path.read_text()) if path.exists() else None
    rec = ca.Recorder(folder / "run.parquet", ca.Dataset.of(N, name="x"), batch_size=B, run_id="lives")
    weights: list[tuple[int, int]] = []
    first = done = 0
    if saved is not None:
        rec.load_state_dict(saved["recorder"])
        weights, first, done = [(e, r) for e, r in saved["weights"]], saved["epoch"], saved["batches"]
    steps = 0
    for epoch in range(first, E):
        resumed = epoch == first and done > 0
        rows = order(epoch, os.getpid() if resumed and how == "reshuffled" else 0)
        skip = done * B if resumed or (how == "offset" and done) else 0
        rows = rows[: N - skip] if resumed and how == "begin" else rows[skip:]
        with rec.epoch():
            for at in range(0, len(rows), B):
                batch = rows[at : at + B]
                weights += [(epoch, row) for row in batch]
                rec.step(batch)
                steps += 1
                if steps % K == 0:
                    state = {"recorder": rec.state_dict(), "weights": weights, "epoch": epoch,
                             "batches": (skip + at) // B + 1}  # fmt: skip
                    path.with_suffix(".new").write_text(json.dumps(state))
                    path.with_suffix(".new").rename(path)
                if steps == die_at:
                    os.kill(os.getpid(), signal.SIGKILL)
    rec.close()
    (folder / "weights.json").write_text(json.dumps(weights))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
