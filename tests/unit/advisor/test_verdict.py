"""The advisor's table: every rule is reached, no need falls through, and no verdict is one that the linter calls an error."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import forked

from fiveways.advisor.profile import BadProfile, need, of_arguments
from fiveways.advisor.starting import start
from fiveways.advisor.table import statements, table
from fiveways.advisor.verdict import KEYS, advise, changes, values
from fiveways.advisor.writing import as_json, as_markdown, candidates
from fiveways.deployment.need import Need

NEEDS = st.fixed_dictionaries({key: st.sampled_from(values(key)) for key in KEYS}).map(Need.model_validate)
BULK = "intent=create payload=bulk purpose=background"
CASES = {
    "intent=converse event_rate_high=true full_duplex=true near_zero_latency=true": ("D1", "REALTIME", "websocket"),
    "intent=feed event_rate_high=true near_zero_latency=true": ("D2", "REALTIME", "sse"),
    "payload=bulk": ("D3", "SYNC", "pass-through"),
    f"{BULK} live_view=true": ("D4", "SYNC", "pass-through"),
    f"{BULK} needed_now=true": ("D4", "SYNC", "pass-through"),
    BULK: ("D5", "BULK", "sftp"),
    "intent=command urgent=true human_actor=true": ("D6", "SYNC", "promise"),
    "intent=command urgent=true slow=true": ("D7", "SYNC", "pass-through"),
    "intent=task": ("D8", "MESSAGING", "mailbox"),
    "intent=update human_actor=true outcome=receipt": ("D9", "SYNC", "promise"),
    "intent=update human_actor=true": ("D10", "MESSAGING", "mailbox"),
    "intent=update offline_process=true slow=true": ("D10", "MESSAGING", "mailbox"),
    "intent=update outcome=none slow=true": ("D11", "SYNC", "promise"),
    "intent=command outcome=receipt peaks_fit=false": ("D11", "SYNC", "promise"),
    "intent=command once_only=true dedupe_cost=costly": ("D12", "MESSAGING", "mailbox"),
    "intent=command idempotent=false dedupe_cost=costly": ("D12", "MESSAGING", "mailbox"),
    "intent=update slow=true async_capable=true": ("D13", "SYNC", "sync-wrap"),
    "intent=command slow=true fixed_constraint=true": ("D14", "EXCHANGE", "short-poll"),
    "slow=true": ("D15", "SYNC", "pass-through"),
    "slow=true fixed_constraint=true human_actor=true": ("D15", "SYNC", "pass-through"),
    "intent=command slow=true": ("D16", "MESSAGING", "mailbox"),
    "intent=command provider_available=false": ("D17", "MESSAGING", "facade"),
    "provider_available=false": ("D19", "SYNC", "pass-through"),
    "purpose=background provider_available=false": ("D17", "MESSAGING", "facade"),
    "intent=command peaks_fit=false": ("D18", "MESSAGING", "throttling-queue"),
    "": ("D19", "SYNC", "pass-through"),
    "backend=several": ("D19", "SYNC", "orchestration"),
    "backend=old_format": ("D19", "SYNC", "transformation"),
    "backend=old_security": ("D19", "SYNC", "wrapper"),
    "backend=old_stateful": ("D19", "SYNC", "wrapper"),
}


@pytest.mark.parametrize("said", CASES)
def test_needs_are_met_as_the_table_says(said: str) -> None:
    verdict = advise(need(of_arguments(said.split())))
    assert (verdict.rule, verdict.method, verdict.pattern) == CASES[said]


def test_every_rule_is_reached_by_some_need() -> None:
    assert {rule for rule, _, _ in CASES.values()} == {rule.rule for rule in table().rules}


def test_all_that_is_cited_is_there_in_our_words_and_nothing_else() -> None:
    cited = {each for rule in table().rules for each in rule.statements}
    cited |= {each for facade in table().facades.values() for each in facade.statements} | set(table().not_idempotent.statements)
    assert cited == set(statements())


def test_each_condition_is_an_answer_to_a_question() -> None:
    for rule in table().rules:
        for when in rule.when:
            for key, wanted in when.items():
                assert set(wanted if isinstance(wanted, list) else [wanted]) <= set(values(key)), (rule.rule, key)


@settings(max_examples=2000, deadline=None)
@given(NEEDS)
def test_no_need_falls_through_and_no_verdict_is_an_error_of_the_linter(said: Need) -> None:
    verdict = advise(said)
    care = said.intent == "retrieve" and said.purpose == "direct_care"
    assert not care or verdict.method == "SYNC", "SY03: what care is given on is asked for synchronously"
    if verdict.method == "EXCHANGE":
        assert not said.human_actor, "HX02: a person on an HTTP exchange"
        assert verdict.target == "SYNC", "HX01: a step on the way"
    if verdict.method == "BULK":
        assert not said.needed_now, "BK02: needed immediately"
        assert said.recipient_known, "BK01: recipient unknown"
        assert not said.live_view, "BK04: looked at while it is old"
    if said.urgent and said.payload == "granular" and not (said.event_rate_high and said.near_zero_latency):
        assert verdict.method == "SYNC", "MS05: urgent over messaging"
    if verdict.pattern in ("transformation", "wrapper"):
        assert any("debt plan" in warning for warning in verdict.warnings), "GW05"
    assert candidates(verdict)


@settings(max_examples=200, deadline=None)
@given(NEEDS)
def test_what_is_said_to_change_the_verdict_does(said: Need) -> None:
    now = advise(said)
    for change in changes(said):
        then = advise(said.model_copy(update={change.key: change.value}))
        assert (then.rule, then.method, then.pattern) == (change.rule, change.method, change.pattern)
        assert (then.method, then.pattern) != (now.method, now.pattern)
    begun = start(now, said, date(2026, 1, 1))
    assert as_markdown(now, changes(said), begun).startswith(f"# {now.method}")
    assert json.loads(json.dumps(as_json(now, changes(said), begun)))["rule"] == now.rule


@pytest.mark.parametrize(
    ("said", "words"),
    [("intnt=update", "did you mean intent"), ("intent=have", "intent"), ("slow", "key=value"), ("slow=maybe", "slow")],
    ids=lambda each: each,
)
def test_answers_to_no_question_are_refused_with_what_there_is(said: str, words: str) -> None:
    with pytest.raises(BadProfile, match=words):
        need(of_arguments([said]))


def test_figures_are_held_against_what_the_programme_asks() -> None:
    assert need({"expected_latency": "5s"}).slow
    assert not need({"expected_latency": "2s"}).slow
    assert not need({"availability": "99%"}).provider_available


def test_the_command_says_it_in_three_ways(tmp_path: Any) -> None:
    file = tmp_path / "need.yaml"
    file.write_text("need: {intent: update, human_actor: true}\n")
    said = json.loads(forked.run(("advise", "--file", str(file), "outcome=none", "--json"), {}, tmp_path).stdout)
    assert (said["rule"], said["method"], said["pattern"]) == ("D9", "SYNC", "promise")
    assert {"try_first", "warnings", "target", "statements", "changes"} <= said.keys()
    assert "D9" in forked.run(("advise", "--file", str(file), "outcome=none"), {}, tmp_path).stdout
    assert forked.run(("advise", "--markdown"), {}, tmp_path).stdout.startswith("# SYNC: pass-through")
    assert forked.run(("advise", "intnt=x"), {}, tmp_path).returncode == 1
