"""What the rules on bulk transfer are tried on."""

from __future__ import annotations

from tests.unit.linter.case import Case

GOOD = {
    "digest": "{by: sidecar}",
    "complete_when": "{trailer: 'TRL,(?P<records>[0-9]+)'}",
    "records": "{format: csv, columns: {id: {type: integer}}, bad_records: {policy: set-aside}}",
    "deliver_to": "[{folder: out}]",
}


def one(*, need: str = "", **said: str | None) -> str:
    """A deployment of one feed, in line 5; None leaves out what a good one has."""
    whole = {**GOOD, **({"need": f"{{{need}}}"} if need else {}), **said}
    rest = ", ".join(f"{name}: {value}" for name, value in whole.items() if value is not None)
    allowed = "outbound: {allow: [a, 127.0.0.1], networks: [127.0.0.0/8], plain_http: true}"
    partner = f"organisations: {{RXN: {{name: x}}}}\n{allowed}\npartners: {{rxn: {{organisation: RXN}}}}\n"
    return f"{partner}feeds:\n  a: {{from: rxn, {rest}}}\n"


HERE = ((5, "feeds.a"),)


def at(*path: str) -> tuple[tuple[int, str], ...]:
    """Somewhere in the feed."""
    return tuple((5, f"feeds.a.{each}") for each in path)


BULK: dict[str, list[Case]] = {
    "BK01": [
        Case(one(need="recipient_known: false"), at("need.recipient_known")),
        Case(one(deliver_to=None), HERE),
        Case(one(deliver_to=None, to="[{partner: rxn}]")),
        Case(one(need="recipient_known: true")),
        Case(one()),
    ],
    "BK02": [
        Case(one(need="needed_now: true"), at("need.needed_now")),
        Case(one(need="needed_now: true, purpose: direct_care, intent: feed"), at("need.needed_now")),
        Case(one(need="needed_now: true, purpose: background")),
        Case(one(need="purpose: direct_care")),
        Case(one()),
    ],
    "BK03": [
        Case(one(need="intent: command"), at("need.intent")),
        Case(one(need="intent: task, urgent: true"), at("need.intent")),
        Case(one(need="intent: feed, urgent: true"), at("need.urgent")),
        Case(one(need="intent: feed")),
        Case(one()),
    ],
    "BK04": [
        Case(one(need="live_view: true"), at("need.live_view")),
        Case(one(need="live_view: true, intent: feed"), at("need.live_view")),
        Case(one(need="intent: feed")),
        Case(one()),
    ],
    "BK05": [
        Case(one(need="intent: retrieve"), at("need.intent")),
        Case(one(need="intent: retrieve, payload: bulk"), at("need.intent")),
        Case(one(need="payload: bulk")),
        Case(one()),
    ],
    "BK06": [
        Case(one(records=None), HERE),
        Case(one(records="{format: csv, columns: {id: {type: integer}}}"), at("records")),
        Case(one(records="{format: csv, columns: {id: {type: integer}}, bad_records: {policy: reject-file}}")),
        Case(one()),
    ],
    "BK07": [
        Case(one(deliver_to="[{folder: 'FTP://a/b'}]"), at("deliver_to[0].folder")),
        Case(one(deliver_to="[{folder: b}, {http: 'http://a/b'}]"), at("deliver_to[1].http")),
        Case(one(deliver_to="[{s3: 's3://a/b?endpoint=http://c:9000'}]"), at("deliver_to[0].s3")),
        Case(one(receipt="{http: 'http://a/b'}"), at("receipt.http")),
        Case(one(deliver_to="[{http: 'https://a/b'}, {http: 'http://127.0.0.1:8000/b'}]")),
        Case(one(deliver_to="[{s3: 's3://a/b?endpoint=https://c'}, {s3: 's3://a/b'}]")),
        Case(one()),
    ],
    "BK08": [
        Case(one(digest=None), HERE),
        Case(one(digest=None, complete_when="{manifest: '*.json'}"), HERE),
        Case(one(digest="{by: manifest}", complete_when="{manifest: '*.json'}")),
        Case(one()),
    ],
    "BK09": [
        Case(one(complete_when=None), HERE),
        Case(one(complete_when="{marker: '{name}.done'}"), HERE),
        Case(one(complete_when="{trailer: 'TRL,.*'}"), at("complete_when.trailer")),
        Case(one(complete_when="{manifest: '*.json'}")),
        Case(one()),
    ],
    "BK10": [
        Case(one(audit="false"), at("audit")),
        Case(one(audit="false", digest=None), at("audit")),
        Case(one(audit="true")),
        Case(one()),
    ],
}
