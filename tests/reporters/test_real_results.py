"""Every reporter on results of the real rules: plans of any loader."""

from __future__ import annotations

import json

import jsonschema
from hypothesis import given, settings
from hypothesis import strategies as st

import coverage_audit as ca
from coverage_audit.reporters import json_file, markdown, terminal, total
from coverage_audit.result import AuditResult, Verdict

CHECK = jsonschema.Draft202012Validator(json_file.schema())


@st.composite
def plans(draw: st.DrawFn) -> AuditResult:
    sizes = draw(st.lists(st.integers(1, 40), min_size=1, max_size=6))
    kind = draw(st.sampled_from(["exactly-once", "at-least-once", "drop-remainder", "with-replacement", "subset"]))
    return ca.plan(
        ca.Dataset.of({f"shard-{i}": n for i, n in enumerate(sizes)}),
        batch_size=draw(st.integers(1, 12)),
        steps_per_epoch=draw(st.none() | st.integers(1, 30)),
        epochs=draw(st.integers(1, 30)),
        generator=draw(st.sampled_from(["continuous", "restarting"])),
        remainder=draw(st.sampled_from(["global", "per-shard"])),
        contract={"kind": kind, "per": draw(st.sampled_from(["epoch", "pass", "run"]))},
    )


@settings(deadline=None, max_examples=80)
@given(plans(), st.integers(60, 200), st.booleans())
def test_all_say_the_same(result: AuditResult, width: int, verbose: bool) -> None:
    document = json.loads(json_file.render(result))
    CHECK.validate(document)
    for split in document["splits"]:
        sums = split["totals"]
        whole = [e for e in split["epochs"] if e["complete"]]
        assert sums["missed"] == sum(e["missed"] for e in whole)
        assert sums["repeated"] == sum(e["repeated"] for e in whole)
        assert sums["explained"] + sums["unexplained"] == sums["missed"] + sums["repeated"]
        assert sum(s["visits"] for s in split["shards"]) == sums["visits"]
        assert sum(s["rows_never_seen"] for s in split["shards"]) == sums["rows_never_seen"]
    text = terminal.render(result, width=width, verbose=verbose)
    assert max(map(len, text.splitlines())) <= width
    assert ("PASS  " in text) == (result.verdict is Verdict.PASS)
    assert ("FAIL  " in text) == (result.verdict is Verdict.FAIL)
    assert markdown.render(result, verbose=verbose).startswith(f"# {result.verdict.name} plan\n")
    number = float(total.render(result))
    contract = result.splits[0].counts.info.contract
    if contract.per == "epoch":
        assert (number == 100) == (document["splits"][0]["totals"]["missed"] == 0)
