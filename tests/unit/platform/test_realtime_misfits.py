"""Channels that do not fit the rest of their deployment are refused, each misfit with its place."""

from __future__ import annotations

import pytest

from fiveways.deployment import document
from fiveways.errors import DeploymentError
from fiveways.platform.model import validate

FITTING = """\
listeners: {main: {http: '127.0.0.1:8080'}, live: {realtime: '127.0.0.1:8082'}}
organisations: {RXN: {name: Northshire}}
applications: {ward: {organisation: RXN}}
apis: {scores: {pattern: pass-through, at: /s, target: {url: 'http://b'}, security: [api-key], operations: [{match: POST /}]}}
exchanges: {scores: {interaction: POST /, transitional: {constraint: c, target: synchronous, retire_by: 2031-01-01}}}
messaging: {shared_key: env:K}
mailboxes: {OUT: {organisation: RXN, password: env:A}, IN: {organisation: RXN, password: env:B}}
workflows: {WAITING: {from: [OUT], to: [IN]}}
outbound: {allow: [tell.test, 'https://record.test/r4/Communication']}
partners: {north: {organisation: RXN, server: {host: n, user: u, key: file:k, host_keys: ['SHA256:%s']}}}
feeds: {extract: {from: north}}
channels:
  talk:
    name: talk:{id}
    kind: conversation
    invite: [{organisation: RXN}, {organisation: '{id}'}]
    reach: {mailbox: {'person:1': IN, 'application:ward': IN}, from: OUT, workflow: WAITING}
    record: {fhir: https://record.test/r4, secrets: [env:S]}
  told: {name: 'told:{id}', kind: conversation, reach: {url: 'https://tell.test/waits', secrets: [env:S]}}
  board: {name: board, kind: feed, join: [{anyone: true}], follow: [{message: IN}, {job: scores}, {transfer: extract}]}
  ward: {name: 'ward:{ward}', kind: feed, join: [{application: '{ward}'}], publish: [{application: ward}]}
  beds: {name: 'ward:{ward}:beds', kind: feed, join: [{role: nurse}]}
""" % ("A" * 43)  # fmt: skip


def said(text: str) -> list[str]:
    with pytest.raises(DeploymentError) as refused:
        validate(document.parse(text, "d.yaml"))
    return str(refused.value).splitlines()


def test_channels_that_fit_are_taken() -> None:
    validate(document.parse(FITTING))


@pytest.mark.parametrize(
    ("old", "new", "line", "where", "what"),
    [
        (", live: {realtime: '127.0.0.1:8082'}", "", 12, "channels", "no listener has people connect to them"),
        ("invite: [{organisation: RXN}", "invite: [{organisation: RXM}", 16, "talk.invite[0].organisation", "found 'RXM'"),
        ("publish: [{application: ward}", "publish: [{application: wrd}", 21, "ward.publish[0].application", "found 'wrd'"),
        ("join: [{role: nurse}", "join: [{organisation: ABC}", 22, "beds.join[0].organisation", "expected one of organisations:"),
        ("'person:1': IN", "'person:1': INN", 17, "talk.reach.mailbox.person:1", "found 'INN', expected one of mailboxes:"),
        ("'person:1': IN", "'person:1': OUT", 17, "talk.reach.mailbox.person:1", "OUT does not receive WAITING"),
        ("'person:1': IN", "nobody: IN", 17, "talk.reach.mailbox.nobody", "expected person:… or application:…"),
        ("'application:ward'", "'application:w'", 17, "talk.reach.mailbox.application:w", "found 'w'"),
        ("from: OUT", "from: OOT", 17, "talk.reach.from", "found 'OOT', expected one of mailboxes:"),
        ("from: OUT", "from: IN", 17, "talk.reach.from", "IN does not send WAITING"),
        ("workflow: WAITING", "workflow: WAITNG", 17, "talk.reach.workflow", "found 'WAITNG', expected one of workflows:"),
        ("fhir: https://record", "fhir: https://recorder", 18, "talk.record.fhir", "outbound: says what may be called"),
        ("https://tell.test", "https://other.test", 19, "told.reach.url", "outbound: says what may be called"),
        ("message: IN", "message: IM", 20, "board.follow[0].message", "found 'IM', expected one of mailboxes:"),
        ("job: scores", "job: score", 20, "board.follow[1].job", "found 'score', expected one of exchanges:"),
        ("transfer: extract", "transfer: e", 20, "board.follow[2].transfer", "found 'e', expected one of feeds:"),
        ("'ward:{ward}:beds'", "'ward:{place}'", 22, "beds.name", "found 'ward:{place}': every such channel is of ward"),
        ("'ward:{ward}:beds'", "'ward:eight'", 22, "beds.name", "found 'ward:eight': every such channel is of ward"),
        ("'ward:{ward}:beds'", "board", 22, "beds.name", "found 'board': every such channel is of board"),
    ],
)
def test_a_misfit_of_a_channel_is_refused_with_its_place(old: str, new: str, line: int, where: str, what: str) -> None:
    assert FITTING.count(old) == 1
    (refusal,) = said(FITTING.replace(old, new))
    assert refusal.startswith(f"d.yaml:{line}:"), refusal
    assert f" channels.{where}: ".replace("channels.channels:", "channels:") in refusal
    assert what in refusal


def test_a_listener_to_which_nobody_has_cause_to_connect_is_refused() -> None:
    (refusal,) = said("listeners:\n  main: {http: '127.0.0.1:8080'}\n  live: {realtime: '127.0.0.1:8082'}\n")
    assert refusal.startswith("d.yaml:3:10: listeners.live.realtime: there is nothing to connect to")


def test_a_pattern_behind_one_that_does_not_hide_it_is_taken() -> None:
    tail = "  near: {name: 'ward:{ward}:beds:{bed}', kind: feed, join: [{anyone: true}]}\n"
    validate(document.parse(FITTING + tail))


def test_a_workflow_that_is_open_to_all_need_not_be_declared() -> None:
    text = FITTING.replace("messaging: {", "messaging: {open_workflows: true, ").replace("workflow: WAITING", "workflow: OTHER")
    validate(document.parse(text))


def test_a_node_is_not_given_up_before_it_could_say_that_it_is_there() -> None:
    (refusal,) = said(f"{FITTING}realtime: {{lost: 2s}}\n")
    assert "realtime.lost: a node says each second that it is there" in refusal
    validate(document.parse(f"{FITTING}realtime: {{lost: 3s}}\n"))
