"""Later epochs hold only the first few batches of the data.

## What it looks for
Epochs after the first that consist of nothing but batches consumed before, without the loader yielding anything new.

## Why it matters
The loader ran out. The trainer went on with what it still had in hand, the same few batches again and again, while the
loss kept falling: on those batches.

## How to fix it
Make the generator cycle for ever (`while True:` around the pass) and give steps_per_epoch, or hand the trainer an
object it can iterate again (a list, a PyDataset, a tf.data.Dataset) instead of a generator.

## When it is fine
Never in training.
"""

from __future__ import annotations

from collections.abc import Iterator

from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.finding import Claim, Evidence, Severity
from coverage_audit.model.words import epochs_text, several
from coverage_audit.rules._rule import Again, Example, Rule


def check(counts: SplitCounts) -> Iterator[Evidence]:
    """Training epochs made of replayed batches only."""
    if counts.evaluation:
        return
    heads = [e for e in counts.complete_epochs if e.steps and e.replayed_batches == e.steps]
    if not heads:
        return
    claims = tuple(Claim(e.epoch, e.missed, e.repeated.rows) for e in heads)
    hold = "holds" if len(heads) == 1 else "hold"
    ended = "the generator ended" if counts.exhausted else "the loader yielded nothing new"
    yield Evidence(
        message=f"{epochs_text([e.epoch for e in heads], len(counts.complete_epochs))} {hold} only "
        f"{several(max(e.steps for e in heads), 'batch')} that were trained on before",
        cause=f"{ended} after {several(counts.yields, 'batch')}; the trainer goes on with the batches it had peeked at "
        "to learn the shapes",
        fix="make the generator cycle for ever (while True around the pass), or pass an object to iterate anew",
        epochs=tuple(e.epoch for e in heads),
        rows=heads[0].replayed,
        count=sum(c.missed.size for c in claims),
        claims=claims,
        numbers={"yields": counts.yields, "steps": max(e.steps for e in heads)},
    )


_ONCE = ((0, 1), (2, 3), (4, 5))
RULE = Rule(
    code="CA205",
    name="replayed-head",
    severity=Severity.ERROR,
    role="diagnosis",
    since="0.1",
    check=check,
    rank=15,
    quiet=(Example((6,), (_ONCE, _ONCE)), Example((6,), (_ONCE, ((0, 1), Again(0))))),
    fires=(Example((6,), (_ONCE, (Again(0),)), exhausted=True, reported=(0, 1)),),
)
