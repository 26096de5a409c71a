"""Batches the trainer peeked at to learn the shapes are consumed again.

## What it looks for
Batches consumed more often than they were yielded. Keras peeks at two batches of every Python generator, keeps them,
and puts them in front of every new stream it opens over it: at each evaluation of a validation generator, and when a
training generator is exhausted.

## Why it matters
A validation generator is never clean: every evaluation begins with the same two batches, whatever the generator goes
on with, so the metrics of different epochs describe different rows, and the head counts twice as often as the rest.

## How to fix it
Give validation data that can be iterated anew: arrays, a `keras.utils.PyDataset`, a `tf.data.Dataset`. For training,
make the generator cycle for ever.

## When it is fine
When the validation data fits into the two batches, or you only watch the trend. In training it is a warning, in
validation an error where it changes what was evaluated.
"""

from __future__ import annotations

from collections.abc import Iterator

from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.finding import Claim, Evidence, Severity
from coverage_audit.model.words import epochs_text, several
from coverage_audit.rules._rule import Again, Example, Rule


def check(counts: SplitCounts) -> Iterator[Evidence]:
    """Epochs or evaluations with replayed batches."""
    again = [e for e in counts.complete_epochs if e.replayed_batches]
    if not again:
        return
    claims = []
    for epoch in again:
        enough = epoch.needed is None or epoch.steps >= epoch.needed or epoch.steps == epoch.replayed_batches
        missed = epoch.missed if enough else epoch.missed - epoch.missed
        claims.append(Claim(epoch.epoch, missed, epoch.repeated.rows))
    what = "evaluations" if counts.evaluation else "epochs"
    changed = any(e.missed or e.surplus for e in again)
    numbers = [e.epoch for e in again]
    yield Evidence(
        message=f"{several(max(e.replayed_batches for e in again), 'batch')} consumed again without being yielded "
        f"again, in {epochs_text(numbers, len(counts.complete_epochs)).replace('epoch', what[:-1])}",
        cause=f"the trainer peeks at the first batches of a generator and puts them in front of each of its {what}"
        if counts.evaluation
        else "the generator was exhausted, and the trainer began its next stream with the batches it had peeked at",
        fix="give validation data that can be iterated anew: arrays, a PyDataset or a tf.data.Dataset"
        if counts.evaluation
        else "make the generator cycle for ever",
        epochs=tuple(numbers),
        rows=again[0].replayed,
        count=sum(e.replayed.size for e in again),
        claims=tuple(claims),
        severity=Severity.ERROR if counts.evaluation and changed else None,
        numbers={"batches": max(e.replayed_batches for e in again)},
    )


_ONCE = ((0, 1), (2, 3), (4, 5))
RULE = Rule(
    code="CA206",
    name="replayed-peek",
    severity=Severity.WARNING,
    role="diagnosis",
    since="0.1",
    check=check,
    rank=16,
    quiet=(Example((6,), (_ONCE, _ONCE)),),
    fires=(Example((6,), (_ONCE, (Again(0), (2, 3), (4, 5))), evaluation=True, reported=(0, 1)),),
)
