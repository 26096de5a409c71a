"""Stories of loaders, right and wrong: the verdict, the first cause, and nothing unexplained."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from coverage_audit.auditor import judge
from coverage_audit.config import Gates
from coverage_audit.counts.tables import Counts
from coverage_audit.errors import ConfigError, UsageError
from coverage_audit.model.contract import Contract
from coverage_audit.model.finding import Severity
from coverage_audit.result import AuditResult, Verdict
from coverage_audit.testing.runs import Run, Step, count_runs, shards_of

SIZES = [1000, 937, 1003, 250]
DATA = shards_of(*SIZES)
OFFSETS = np.concatenate(([0], np.cumsum(SIZES))).tolist()
Batches = list[list[int]]


def sliced(order: list[int], size: int = 64, *, keep: bool = True) -> Batches:
    """Shard by shard, its partial batch kept or dropped."""
    out = []
    for s in order:
        for i in range(OFFSETS[s], OFFSETS[s + 1] if keep else OFFSETS[s + 1] - size + 1, size):
            out.append(list(range(i, min(i + size, OFFSETS[s + 1]))))
    return out


def carried(order: list[int], size: int = 64) -> Batches:
    rows = [r for s in order for r in range(OFFSETS[s], OFFSETS[s + 1])]
    return [rows[i : i + size] for i in range(0, len(rows), size)]


def shuffled(one_pass: object, shards: list[int] | None = None, **options: object) -> Batches:
    rng = np.random.default_rng(0)
    orders = [rng.permutation(shards if shards is not None else range(4)).tolist() for _ in range(9)]
    return [b for order in orders for b in one_pass(order, **options)]  # type: ignore[operator]


def run(batches: Batches, steps: int, epochs: int = 3, **options: object) -> Run:
    made = [Step(batches[e * steps + i], epoch=e) for e in range(epochs) for i in range(steps)]
    return Run(DATA, made, batch_size=64, steps_per_epoch=steps, **options)  # type: ignore[arg-type]


def audit(made: Run, gates: Gates | None = None) -> AuditResult:
    counts = made.count()
    return judge(Counts(counts.run, (counts,)), gates)


def seen(result: AuditResult, *severities: Severity) -> list[str]:
    """Codes in the order of the report; without those about order, which say truly that shards are not mixed."""
    wanted = severities or (Severity.INCOMPLETE, Severity.ERROR, Severity.WARNING)
    return [f.code for f in result.findings if f.severity in wanted and not f.code.startswith("CA3")]


FIXED = [0, 1, 2, 3]
STORIES = {
    "sliced 50": (run(sliced(FIXED) * 4, 50), ["CA601", "CA603", "CA606"]),
    "sliced 50 shuffled": (run(shuffled(sliced), 50), ["CA601", "CA603", "CA606"]),
    "sliced 51 shuffled": (run(shuffled(sliced), 51), ["CA606"]),
    "carried 49": (run(shuffled(carried), 49), ["CA601", "CA603"]),
    "carried 49 once": (run(shuffled(carried), 49, 1), ["CA601"]),
    "carried 50": (run(shuffled(carried), 50), []),
    "carried 51": (run(shuffled(carried), 51), ["CA602", "CA603", "CA201"]),
    "shard tails 47": (run(shuffled(sliced, keep=False), 47), ["CA104", "CA202"]),
    "shard tails 47 once": (run(shuffled(sliced, keep=False), 47, 1), ["CA104"]),
    "shard tails 50": (run(shuffled(sliced, keep=False), 50), ["CA104", "CA602", "CA603"]),
    "remainder 49": (run(carried(FIXED)[:49] * 4, 49), ["CA103"]),
    "remainder 50": (run(carried(FIXED)[:49] * 4, 50), ["CA103", "CA602", "CA603"]),
    "no third shard 35": (run(shuffled(sliced, [0, 1, 3]), 35), ["CA105", "CA606"]),
    "no third shard 50": (run(shuffled(sliced, [0, 1, 3]), 50), ["CA105", "CA602", "CA603", "CA606"]),
    "virtual 10": (run(shuffled(sliced), 10, 11), ["CA601", "CA603", "CA606"]),
}


@pytest.mark.parametrize("story", STORIES, ids=str)
def test_first_causes(story: str) -> None:
    made, expected = STORIES[story]
    result = audit(made)
    (split,) = result.splits
    found = [c for c in seen(result) if c not in ("CA202", "CA201")]
    assert found == [c for c in expected if c not in ("CA202", "CA201")]
    failing = split.totals.missed + split.totals.repeated > 0
    assert result.verdict is (Verdict.FAIL if failing else Verdict.PASS)
    assert split.totals.unexplained == 0
    assert split.totals.explained == split.totals.missed + split.totals.repeated


def test_the_fix_of_the_story() -> None:
    result = audit(STORIES["sliced 50"][0])
    first = result.findings[0]
    assert (first.code, first.severity, first.message) == (
        "CA601", Severity.ERROR, "50 steps, one pass of this loader needs 51",
    )  # fmt: skip
    assert first.fix == "steps_per_epoch = 51, or carry the rest of a shard over into the next batch"
    assert first.cause == (
        "ceil(3190 / 64) = 50 is right for a loader that fills every batch; this one ends each shard with a partial "
        "batch (CA606), so a pass takes ceil(n / 64) per shard: 16 + 15 + 16 + 4 = 51"
    )
    assert (first.explained, first.explains, first.ranges) == (186, ("CA101",), (("x_3.npy", 192, 250),))
    assert result.findings[1].message == "each epoch starts one batch earlier in the pass"


def test_symptoms_explained_in_full_are_notes() -> None:
    result = audit(STORIES["sliced 50 shuffled"][0])
    notes = {f.code: f.claimed_by for f in result.findings if f.severity is Severity.INFO}
    assert notes == {"CA101": ("CA601",), "CA201": ("CA601",)}
    assert result.splits[0].gates == ("missed: 333 row-epochs",)


def test_a_contract_per_run_lets_virtual_epochs_pass() -> None:
    result = audit(run(shuffled(sliced), 10, 11, contract=Contract.of({"per": "run"})))
    assert (result.verdict, seen(result, Severity.ERROR)) == (Verdict.PASS, [])


def test_a_contract_per_run_still_wants_every_row() -> None:
    result = audit(run(shuffled(sliced), 10, 5, contract=Contract.of({"per": "run"})))
    assert result.verdict is Verdict.FAIL
    assert result.splits[0].gates == (f"missed: {result.splits[0].totals.rows_never_seen:,} rows",)


def test_a_contract_per_pass_judges_complete_passes() -> None:
    assert audit(run(shuffled(sliced), 10, 11, contract=Contract.of({"per": "pass"}))).verdict is Verdict.PASS
    failing = audit(run(shuffled(sliced, keep=False), 10, 11, contract=Contract.of({"per": "pass"})))
    assert (failing.verdict, failing.splits[0].gates) == (Verdict.FAIL, ("missed: 364 complete-pass rows",))


def test_drop_remainder_is_tolerated_when_it_was_declared() -> None:
    made = run(carried(FIXED)[:49] * 4, 49, contract=Contract.of("drop-remainder"))
    result = audit(made)
    assert (result.verdict, seen(result)) == (Verdict.PASS, [])
    assert result.splits[0].counts.epochs[0].needed == 49


def test_sampling_is_not_explained_by_steps() -> None:
    draws = np.random.default_rng(1).integers(0, 3190, (150, 64)).tolist()
    result = audit(run(draws, 50))
    assert "CA601" not in [f.code for f in result.findings]
    assert seen(result) == ["CA203"]
    declared = audit(run(draws, 50, contract=Contract.of("with-replacement")))
    assert (declared.verdict, seen(declared)) == (Verdict.PASS, [])


def test_a_run_stopped_in_mid_epoch() -> None:
    batches = shuffled(sliced)
    steps = [Step(batches[i], epoch=i // 51) for i in range(122)]
    result = audit(Run(DATA, steps, batch_size=64, steps_per_epoch=51))
    assert seen(result) == ["CA604", "CA606"]
    assert result.splits[0].totals.unexplained == 0


def test_an_error_of_the_loader_is_named() -> None:
    batches = shuffled(sliced)
    steps = [Step(batches[i], epoch=i // 51) for i in range(70)]
    made = Run(DATA, steps, batch_size=64, open_epochs=frozenset({1}), errors=("RuntimeError: disk on fire",))
    result = audit(made)
    (found,) = [f for f in result.findings if f.code == "CA604"]
    assert (found.severity, found.message) == (
        Severity.ERROR, "epoch 1 cut off after 19 steps: the loader raised RuntimeError: disk on fire",
    )  # fmt: skip
    assert result.verdict is Verdict.FAIL


def test_the_only_epoch_was_cut() -> None:
    """GIVEN a trainer that meant 51 steps and stopped after 20, THEN nobody is told that 20 steps are too few."""
    made = replace(run(shuffled(sliced), 20, 1), steps_per_epoch=51, declared=51)
    result = audit(made)
    assert seen(result, Severity.ERROR) == ["CA604"]
    assert result.findings[0].message == "epoch 0 cut short: 20 of 51 steps"


def test_steps_without_epochs_are_counted_by_the_declared_number() -> None:
    """GIVEN trained steps of a loop that never says where an epoch ends."""
    batches = shuffled(carried)
    steps = [Step(batches[i]) for i in range(120)]
    result = audit(Run(DATA, steps, batch_size=64, steps_per_epoch=50, without_epochs=True))
    (split,) = result.splits
    assert [(e.steps, e.complete, len(e.missed)) for e in split.counts.epochs] == [
        (50, True, 0), (50, True, 0), (20, False, 1910),
    ]  # fmt: skip
    assert (result.verdict, split.counts.epochs_from) == (Verdict.PASS, "steps_per_epoch")


def test_a_finite_generator_that_ran_out() -> None:
    batches = carried(FIXED)
    steps = [
        *[Step(b, epoch=0, batch=i) for i, b in enumerate(batches)],
        *[Step(batches[i], epoch=e, batch=i) for e in (1, 2) for i in (0, 1)],
    ]
    result = audit(Run(DATA, steps, batch_size=64, exhausted=True))
    assert seen(result, Severity.ERROR) == ["CA205"]
    assert result.splits[0].totals.unexplained == 0


def test_a_validation_generator_replays_its_peeked_batches() -> None:
    batches = carried(FIXED) * 3
    steps = [Step(batches[i], epoch=0, batch=i) for i in range(50)]
    for e in (1, 2):
        steps += [Step(batches[i], epoch=e, batch=i) for i in (0, 1)]
        steps += [Step(batches[i], epoch=e, batch=i) for i in range(50 + (e - 1) * 48, 98 + (e - 1) * 48)]
    result = audit(Run(DATA, steps, batch_size=64, split="validation", evaluation=True))
    assert seen(result, Severity.ERROR) == ["CA206"]
    assert result.splits[0].totals.unexplained == 0


def test_batches_lost_between_two_fits() -> None:
    """GIVEN fits of one whole pass each, WHEN a prefetched batch is lost between them, THEN it explains the shift."""
    batches = shuffled(carried)
    steps = [Step(batches[i], epoch=0) for i in range(50)]
    steps += [Step(batches[50], trained=False)]
    steps += [Step(batches[i], epoch=1, fit=1) for i in range(51, 101)]
    result = audit(Run(DATA, steps, batch_size=64, steps_per_epoch=50))
    assert "CA605" in seen(result)
    assert result.findings[0].code in ("CA605", "CA101")
    assert result.splits[0].totals.unexplained == 0


def test_gates() -> None:
    made = STORIES["carried 51"][0]
    surplus = audit(made).splits[0].totals.repeated
    assert audit(made, Gates(warn_on=("CA602",), max_missed=10**6)).verdict is Verdict.PASS
    assert audit(made, Gates(warn_on=("CA602", "missed"), fail_on=("repeated",))).splits[0].gates == (
        f"repeated: {surplus:,} surplus visits",
    )
    allowed = Gates(warn_on=("CA602", "missed"), max_repeated=surplus)
    assert audit(made, allowed).verdict is Verdict.PASS
    with pytest.raises(UsageError, match="there is no rule 'CA999'"):
        audit(made, Gates(fail_on=("CA999",)))


def test_a_warning_can_be_made_to_fail() -> None:
    made = STORIES["sliced 51 shuffled"][0]
    assert audit(made).verdict is Verdict.PASS
    assert audit(made, Gates(fail_on=("scattered-partial-batches",))).verdict is Verdict.FAIL


def test_written_exactly_once_fails_on_repeats() -> None:
    one = [[0, 1], [2, 0]]
    steps = [Step(b, epoch=0) for b in one]
    assert audit(Run(shards_of(3), steps)).verdict is Verdict.PASS
    result = audit(Run(shards_of(3), steps, contract=Contract.of("exactly-once")))
    assert (result.verdict, result.splits[0].gates) == (Verdict.FAIL, ("repeated: 1 surplus visit",))


@pytest.mark.parametrize("incomplete", [{"writer": "open"}, {"open_epochs": frozenset({0})}])
def test_incomplete_evidence_is_no_verdict(incomplete: dict[str, object]) -> None:
    made = Run(shards_of(2), [Step([0], epoch=0)], **incomplete)  # type: ignore[arg-type]
    result = audit(made)
    assert (result.verdict, result.exit_status, seen(result)[0]) == (Verdict.INCOMPLETE, 3, "CA901")


def test_incomplete_comes_before_fail_and_can_be_allowed() -> None:
    made = Run(shards_of(3), [Step([0], epoch=0), Step(None, epoch=0, count=1)])
    result = audit(made)
    assert (result.verdict, set(seen(result))) == (Verdict.INCOMPLETE, {"CA904", "CA101", "CA102", "CA601"})
    assert audit(made, Gates(allow_incomplete=True)).verdict is Verdict.FAIL


def test_thresholds_reach_their_rule() -> None:
    made = Run(shards_of(3), [Step([0, 1, 2], epoch=e) for e in range(3)] + [Step([0, 0, 0, 1, 2], epoch=3)])
    counts = made.count()
    assert "CA202" in [f.code for f in judge(Counts(counts.run, (counts,))).findings]
    quiet = judge(Counts(counts.run, (counts,)), thresholds={"CA202": {"max-spread": 2}})
    assert "CA202" not in [f.code for f in quiet.findings]
    with pytest.raises(ConfigError, match="CA202 has no threshold 'x'"):
        judge(Counts(counts.run, (counts,)), thresholds={"CA202": {"x": 2}})


def test_two_ranks_need_half_the_steps_each() -> None:
    ranks = []
    for rank in (0, 1):
        rows = list(range(rank, 10, 2))
        steps = [Step(rows[i : i + 2], epoch=e) for e in range(2) for i in (0, 2, 4)]
        ranks.append(Run(shards_of(10), steps, batch_size=2, rank=rank))
    counts = count_runs(*ranks)
    result = judge(Counts(counts.run, (counts,)))
    assert (result.verdict, counts.epochs[0].needed) == (Verdict.PASS, 3)
