"""Requests, as data, that are made of two servers alike: every endpoint, both versions, every documented error.

A scenario begins with empty mailboxes. In paths, headers and bodies `{name}` stands for the message id that the step saving `name`
was answered with.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.acceptance.messaging.wire import HANDSHAKE, V1, V2

ONE, TWO, THREE = "X26ABC1", "X26ABC2", "X26ABC3"
MEX = "/messageexchange"
TO_TWO = {"mex-to": TWO, "mex-workflowid": "TEST_WORKFLOW"}
CONTENT = b"Hello, mailbox"
ZIPPED = gzip.compress(CONTENT, mtime=0)


@dataclass(frozen=True)
class Step:
    """A request. `by`: whose token it carries; `save`: what the message id in the answer is called from now on."""

    name: str
    method: str
    path: str
    by: str | None = None
    accept: str | None = V2
    headers: Mapping[str, str | bytes] = field(default_factory=dict)
    body: bytes | None = None
    save: str = ""


def _each_version(name: str, method: str, path: str, by: str | None = None, **rest: object) -> list[Step]:
    accepted = {"none": None, "any": "*/*", "json": "application/json", "v1": V1, "v2": V2, "v3": V2.replace("v2", "v3")}
    return [Step(f"{name} {which}", method, path, by, accept, **rest) for which, accept in accepted.items()]  # type: ignore[arg-type]


def _both(name: str, method: str, path: str, by: str | None = None, **rest: object) -> list[Step]:
    return [Step(f"{name} {which}", method, path, by, accept, **rest) for which, accept in (("v1", V1), ("v2", V2))]  # type: ignore[arg-type]


def send(save: str, **headers: str | bytes) -> Step:
    """A small message from one to two."""
    said = {name.replace("_", "-"): value for name, value in headers.items()}
    return Step(f"send {save}", "POST", f"{MEX}/{ONE}/outbox", ONE, headers={**TO_TWO, **said}, body=CONTENT, save=save)


def _sent(name: str, headers: Mapping[str, str | bytes], body: bytes | None = CONTENT, by: str = ONE) -> list[Step]:
    return _both(f"send {name}", "POST", f"{MEX}/{by}/outbox", by, headers=headers, body=body)


def _chunk(name: str, number: object, of: str, path: str = "{m}", by: str = ONE, body: bytes = CONTENT, encoding: str = "") -> Step:
    said = {name: value for name, value in (("mex-chunk-range", of), ("content-encoding", encoding)) if value}
    return Step(name, "POST", f"{MEX}/{by}/outbox/{path}/{number}", by, headers=said, body=body)


def _posted(name: str, path: str, content: object) -> Step:
    return Step(name, "POST", path, headers={"content-type": "application/json"}, body=json.dumps(content).encode(), save=name)


EVERYTHING_SAID: dict[str, str | bytes] = {
    **TO_TWO, "mex-subject": "Über alles".encode(), "mex-localid": "mine", "mex-partnerid": "p", "mex-filename": "a.txt",
    "mex-content-encrypted": "Y", "mex-content-compressed": "yes", "mex-content-checksum": "md5 b10a8db164e0754105b7a99be72e3fe5",
    "mex-content-type": "Text/Plain", "content-type": "application/json", "mex-from": ONE,
}  # fmt: skip
REPORT = {"mailbox_id": ONE, "code": "21", "description": "my error", "workflow_id": "W", "subject": "about", "local_id": "mine",
          "file_name": "f.txt", "linked_message_id": "A" * 32}  # fmt: skip

_DIGEST = hashlib.sha256(b"").hexdigest()
AUTHORIZATIONS = {
    "missing": None, "blank": " ", "scheme alone": "NHSMESH", "scheme and space": "NHSMESH ",
        "no scheme": f"{ONE}:n:1:202001010000:{_DIGEST}",
    "another scheme": f"Bearer {ONE}:n:1:202001010000:{_DIGEST}", "four parts": f"NHSMESH {ONE}:n:1:202001010000",
    "six parts": f"NHSMESH {ONE}:n:1:202001010000:{_DIGEST}:x", "count not digits": f"NHSMESH {ONE}:n:x:202001010000:{_DIGEST}",
    "another's": f"NHSMESH {TWO}:n:1:202001010000:{_DIGEST}", "lower case": f"NHSMESH {ONE.lower()}:n:1:202001010000:{_DIGEST}",
    "two spaces": f"NHSMESH  {ONE}:n:1:202001010000:{_DIGEST}", "space in mailbox": f"NHSMESH {ONE} :n:1:202001010000:{_DIGEST}",
    "no time": f"NHSMESH {ONE}:n:1:never:{_DIGEST}", "wrong digest": f"NHSMESH {ONE}:n:1:202001010000:{_DIGEST}",
    "short digest": f"NHSMESH {ONE}:n:1:202001010000:00", "words": "let me in please",
}  # fmt: skip

SCENARIOS: dict[str, list[Step]] = {
    "ping": [*_each_version("ping", "GET", f"{MEX}/_ping"), *(Step(path, "GET", path) for path in (
        "/_ping", "/health", "/_status", "/healthcheck", f"{MEX}/deepping"))],
    "handshake": [
        *_each_version("get", "GET", f"{MEX}/{ONE}", ONE, headers=HANDSHAKE),
        *_each_version("post", "POST", f"{MEX}/{ONE}", ONE, headers=HANDSHAKE),
        *_both("lower case path", "GET", f"{MEX}/{ONE.lower()}", None, headers=HANDSHAKE),
        *_both("nothing said", "GET", f"{MEX}/{ONE}", ONE),
        *(Step(f"without {left}", "GET", f"{MEX}/{ONE}", ONE, headers={k: v for k, v in HANDSHAKE.items() if k != left})
          for left in HANDSHAKE),
        *_both("unknown mailbox", "GET", f"{MEX}/NOBODY", "NOBODY", headers=HANDSHAKE),
        *(Step(f"accept {accept}", "GET", f"{MEX}/{ONE}", ONE, accept, headers=HANDSHAKE) for accept in (
            "application/vnd.mesh.vx+json", "application/vnd.mesh.v2", "application/vnd.mesh+json", f"{V2};q=0.9",
                f"text/html;{V2}",
            f"{V2}, application/json", f"application/json, {V2}", "text/html", "")),
    ],
    "authorization": [
        step for name, value in AUTHORIZATIONS.items()
        for step in _both(name, "GET", f"{MEX}/{ONE}/inbox", headers={} if value is None else {"authorization": value})],
    "send": [
        *_each_version("small", "POST", f"{MEX}/{ONE}/outbox", ONE, headers=TO_TWO, body=CONTENT),
        *_both("everything", "POST", f"{MEX}/{ONE}/outbox", ONE, headers=EVERYTHING_SAID, body=CONTENT),
        *_sent("lower case to", {**TO_TWO, "mex-to": TWO.lower()}),
        *_sent("one chunk", {**TO_TWO, "mex-chunk-range": "1:1"}),
        *_sent("spaces in range", {**TO_TWO, "mex-chunk-range": " 1 : 1 "}),
        *_sent("a workflow nobody declared", {**TO_TWO, "mex-workflowid": "ANY"}),
        *_sent("not the workflow's sender", {"mex-to": ONE, "mex-workflowid": "TEST_WORKFLOW"}, by=TWO),
        *_sent("not the workflow's receiver", {"mex-to": THREE, "mex-workflowid": "TEST_WORKFLOW"}),
        *_sent("from another", {**TO_TWO, "mex-from": TWO}),
        *_sent("without to", {"mex-workflowid": "W"}),
        *_sent("without workflow", {"mex-to": TWO}),
        *_sent("without either", {}),
        *_sent("empty to", {**TO_TWO, "mex-to": ""}),
        *_sent("empty workflow", {**TO_TWO, "mex-workflowid": ""}),
        *_sent("unknown to", {**TO_TWO, "mex-to": "NOBODY"}),
        *_sent("no content", TO_TWO, None),
        *_sent("empty content", TO_TWO, b""),
        *(step for bad in ("0:1", "2:1", "1:0", "2:2", "1", "1:1:1", "x:y", "1:-1", "1:2.0") for step in _sent(
            f"range {bad}", {**TO_TWO, "mex-chunk-range": bad})),
        *(step for bad in ("deflate", "br", "gzip, gzip", "identity") for step in _sent(
            f"encoding {bad}", {**TO_TWO, "content-encoding": bad})),
        *_sent("encoding GZIP", {**TO_TWO, "content-encoding": "GZIP"}, ZIPPED),
        *(step for name in ("to", "workflowid", "content-checksum") for step in _sent(
            f"address in {name}", {**TO_TWO, f"mex-{name}": "HTTPS://example.org/"})),
        *(step for name in ("to", "workflowid", "subject", "localid", "filename", "content-checksum") for step in _sent(
            f"control character in {name}", {**TO_TWO, f"mex-{name}": "a\tb"})),
        *_sent("bad checksum", {**TO_TWO, "mex-content-checksum": "a=b"}),
        *(step for name, most in (("to", 100), ("workflowid", 300), ("chunk-range", 20), ("subject", 500), ("localid", 300),
                                  ("partnerid", 500), ("filename", 300), ("content-encrypted", 20), ("content-compressed", 20),
                                  ("content-checksum", 100), ("content-type", 100))
          for step in _sent(f"{name} too long", {**TO_TWO, f"mex-{name}": "1" * (most + 1)})),
        *_both("unknown mailbox", "POST", f"{MEX}/NOBODY/outbox", "NOBODY", headers=TO_TWO, body=CONTENT),
        Step("accept wrong", "POST", f"{MEX}/{ONE}/outbox", ONE, "application/vnd.mesh.x+json", TO_TWO, CONTENT),
    ],
    "collect": [
        Step("send", "POST", f"{MEX}/{ONE}/outbox", ONE, headers=EVERYTHING_SAID, body=CONTENT, save="m"),
        *_each_version("whole", "GET", f"{MEX}/{TWO}/inbox/{{m}}", TWO),
        *_each_version("whole, gzip taken", "GET", f"{MEX}/{TWO}/inbox/{{m}}", TWO, headers={"accept-encoding": "gzip"}),
        *_both("chunk 1", "GET", f"{MEX}/{TWO}/inbox/{{m}}/1", TWO),
        *_both("chunk 2", "GET", f"{MEX}/{TWO}/inbox/{{m}}/2", TWO),
        *_both("chunk 0", "GET", f"{MEX}/{TWO}/inbox/{{m}}/0", TWO),
        *_both("chunk -1", "GET", f"{MEX}/{TWO}/inbox/{{m}}/-1", TWO),
        *_both("chunk x", "GET", f"{MEX}/{TWO}/inbox/{{m}}/x", TWO),
        *_both("head", "HEAD", f"{MEX}/{TWO}/inbox/{{m}}", TWO),
        *_both("head by sender", "HEAD", f"{MEX}/{ONE}/inbox/{{m}}", ONE),
        *_both("head by another", "HEAD", f"{MEX}/{THREE}/inbox/{{m}}", THREE),
        *_both("head of none", "HEAD", f"{MEX}/{TWO}/inbox/NONE", TWO),
        *_both("none", "GET", f"{MEX}/{TWO}/inbox/NONE", TWO),
        *_both("by sender", "GET", f"{MEX}/{ONE}/inbox/{{m}}", ONE),
        *_both("chunk by another", "GET", f"{MEX}/{THREE}/inbox/{{m}}/1", THREE),
        *_both("acknowledge by sender", "PUT", f"{MEX}/{ONE}/inbox/{{m}}/status/acknowledged", ONE),
        *_both("acknowledge none", "PUT", f"{MEX}/{TWO}/inbox/NONE/status/acknowledged", TWO),
        *_each_version("acknowledge", "PUT", f"{MEX}/{TWO}/inbox/{{m}}/status/acknowledged", TWO),
        *_both("after acknowledging", "GET", f"{MEX}/{TWO}/inbox/{{m}}", TWO),
        *_both("head after acknowledging", "HEAD", f"{MEX}/{TWO}/inbox/{{m}}", TWO),
        Step("accept wrong", "GET", f"{MEX}/{TWO}/inbox/{{m}}", TWO, "application/vnd.mesh.x+json"),
    ],
    "collect what its sender said little of": [
        send("m"),
        *_both("whole", "GET", f"{MEX}/{TWO}/inbox/{{m}}", TWO),
        send("xml", content_type="Text/XML; charset=latin-1"),
        *_both("xml", "GET", f"{MEX}/{TWO}/inbox/{{xml}}", TWO),
        send("csv", content_type="text/csv"),
        *_both("csv", "GET", f"{MEX}/{TWO}/inbox/{{csv}}", TWO),
    ],
    "gzip": [
        Step("send", "POST", f"{MEX}/{ONE}/outbox", ONE, headers={**TO_TWO, "content-encoding": "gzip"}, body=ZIPPED, save="m"),
        *_both("taken", "GET", f"{MEX}/{TWO}/inbox/{{m}}", TWO, headers={"accept-encoding": "gzip"}),
        *_both("not taken", "GET", f"{MEX}/{TWO}/inbox/{{m}}", TWO),
        *_both("head", "HEAD", f"{MEX}/{TWO}/inbox/{{m}}", TWO),
        *_both("track", "GET", f"{MEX}/{ONE}/outbox/tracking?messageID={{m}}", ONE),
        Step("send two", "POST", f"{MEX}/{ONE}/outbox", ONE, headers={**TO_TWO, "content-encoding": "gzip",
            "mex-chunk-range": "1:2"},
             body=ZIPPED, save="two"),
        _chunk("another encoding", 2, "2:2", "{two}"),
        _chunk("second", 2, "2:2", "{two}", body=ZIPPED, encoding="gzip"),
        *_both("first of two taken", "GET", f"{MEX}/{TWO}/inbox/{{two}}", TWO, headers={"accept-encoding": "gzip"}),
        *_both("second of two not taken", "GET", f"{MEX}/{TWO}/inbox/{{two}}/2", TWO),
    ],
    "chunks": [
        Step("first", "POST", f"{MEX}/{ONE}/outbox", ONE, headers={**EVERYTHING_SAID, "mex-chunk-range": "1:3"}, body=CONTENT,
            save="m"),
        *_both("list while uploading", "GET", f"{MEX}/{TWO}/inbox", TWO),
        *_both("collect while uploading", "GET", f"{MEX}/{TWO}/inbox/{{m}}", TWO),
        *_both("head while uploading", "HEAD", f"{MEX}/{TWO}/inbox/{{m}}", TWO),
        *_both("head by sender while uploading", "HEAD", f"{MEX}/{ONE}/inbox/{{m}}", ONE),
        *_both("track while uploading", "GET", f"{MEX}/{ONE}/outbox/tracking?messageID={{m}}", ONE),
        _chunk("no range", 2, ""),
        _chunk("range of another", 2, "3:3"),
        _chunk("range wrong", 2, "2"),
        _chunk("range too long", 2, "2:3" + " " * 10 + "x" * 20),
        _chunk("beyond its range", 4, "4:3"),
        _chunk("beyond what was announced", 4, "4:4"),
        _chunk("number x", "x", "2:3"),
        _chunk("number 0", 0, "0:3"),
        _chunk("number -1", -1, "-1:3"),
        _chunk("to no message", 2, "2:3", "NONE"),
        _chunk("by another", 2, "2:3", by=TWO),
        _chunk("another encoding", 2, "2:3", encoding="gzip"),
        _chunk("an encoding unknown", 2, "2:3", encoding="br"),
        _chunk("another total", 2, "2:4"),
        Step("second", "POST", f"{MEX}/{ONE}/outbox/{{m}}/2", ONE, V1, {"mex-chunk-range": "2:3"}, CONTENT),
        _chunk("second again", 2, "2:3"),
        _chunk("third", 3, "3:3"),
        _chunk("after it is whole", 3, "3:3"),
        *(step for number in (1, 2, 3, 4) for step in _both(
            f"collect {number}", "GET", f"{MEX}/{TWO}/inbox/{{m}}/{number}", TWO, headers={"accept-encoding": "gzip"})),
        *_both("collect", "GET", f"{MEX}/{TWO}/inbox/{{m}}", TWO),
        *_both("track", "GET", f"{MEX}/{ONE}/outbox/tracking?messageID={{m}}", ONE),
        Step("first of more", "POST", f"{MEX}/{ONE}/outbox", ONE, headers={**TO_TWO, "mex-chunk-range": "1:3"}, body=CONTENT,
            save="gap"),
        _chunk("no content", 2, "2:3", "{gap}", body=b""),
        _chunk("the last before the middle", 3, "3:3", "{gap}"),
        *_both("list with a gap", "GET", f"{MEX}/{TWO}/inbox", TWO),
        _chunk("the middle", 2, "2:3", "{gap}"),
        *_both("list without a gap", "GET", f"{MEX}/{TWO}/inbox", TWO),
    ],
    "list": [
        *_each_version("empty", "GET", f"{MEX}/{TWO}/inbox", TWO),
        *_both("count of none", "GET", f"{MEX}/{TWO}/count", TWO),
        *(send(f"m{number}", mex_workflowid=f"W{number % 3}") for number in range(12)),
        *_each_version("all", "GET", f"{MEX}/{TWO}/inbox", TWO),
        *_each_version("count", "GET", f"{MEX}/{TWO}/count", TWO),
        *_both("lower case path", "GET", f"{MEX}/{TWO.lower()}/inbox", None),
        *_both("ten", "GET", f"{MEX}/{TWO}/inbox?max_results=10", TWO),
        *(Step(f"filter {wanted}", "GET", f"{MEX}/{TWO}/inbox?workflow_filter={wanted}", TWO) for wanted in (
            "W1", "!W1", "W*", "!W*", "*1*", "!*1*", "w1", "**", "!*", "!!", "W1*", "%20W1", "*W1")),
        Step("filter and ten", "GET", f"{MEX}/{TWO}/inbox?workflow_filter=W*&max_results=10", TWO),
        *(step for bad in ("max_results=9", "max_results=5001", "max_results=x", "max_results=", "max_results=10.5",
            "workflow_filter=W",
                           "workflow_filter=" + "W" * 256, "continue_from=short", "continue_from=" + "c" * 1001)
          for step in _both(bad[:40], "GET", f"{MEX}/{TWO}/inbox?{bad}", TWO)),
        Step("max_results twice", "GET", f"{MEX}/{TWO}/inbox?max_results=10&max_results=11", TWO),
        Step("empty filter", "GET", f"{MEX}/{TWO}/inbox?workflow_filter=", TWO),
        Step("continue from the third v1", "GET", f"{MEX}/{TWO}/inbox?continue_from={{m2}}&padding=000000000000", TWO, V1),
        Step("continue from nothing known v1", "GET", f"{MEX}/{TWO}/inbox?continue_from={'A' * 32}", TWO, V1),
        Step("continue from nonsense v2", "GET", f"{MEX}/{TWO}/inbox?continue_from={'A' * 32}", TWO, V2),
        Step("acknowledge", "PUT", f"{MEX}/{TWO}/inbox/{{m0}}/status/acknowledged", TWO),
        *_both("after acknowledging", "GET", f"{MEX}/{TWO}/inbox", TWO),
        *_both("unknown mailbox", "GET", f"{MEX}/NOBODY/inbox", "NOBODY"),
        *_both("count of an unknown mailbox", "GET", f"{MEX}/NOBODY/count", "NOBODY"),
        Step("accept wrong", "GET", f"{MEX}/{TWO}/inbox", TWO, "application/vnd.mesh.x+json"),
    ],
    "track": [
        Step("send", "POST", f"{MEX}/{ONE}/outbox", ONE, headers=EVERYTHING_SAID, body=CONTENT, save="m"),
        *_each_version("accepted", "GET", f"{MEX}/{ONE}/outbox/tracking?messageID={{m}}", ONE),
        *_both("by recipient", "GET", f"{MEX}/{TWO}/outbox/tracking?messageID={{m}}", TWO),
        *_both("none", "GET", f"{MEX}/{ONE}/outbox/tracking?messageID=NONE", ONE),
        *_both("no parameter", "GET", f"{MEX}/{ONE}/outbox/tracking", ONE),
        *_both("empty parameter", "GET", f"{MEX}/{ONE}/outbox/tracking?messageID=", ONE),
        *_each_version("local id", "GET", f"{MEX}/{ONE}/outbox/tracking/mine", ONE),
        *_both("unknown local id", "GET", f"{MEX}/{ONE}/outbox/tracking/theirs", ONE),
        send("little", mex_localid="more"),
        *_both("said little", "GET", f"{MEX}/{ONE}/outbox/tracking?messageID={{little}}", ONE),
        send("again", mex_localid="mine"),
        *_both("ambiguous local id", "GET", f"{MEX}/{ONE}/outbox/tracking/mine", ONE),
        Step("acknowledge", "PUT", f"{MEX}/{TWO}/inbox/{{m}}/status/acknowledged", TWO),
        *_both("acknowledged", "GET", f"{MEX}/{ONE}/outbox/tracking?messageID={{m}}", ONE),
    ],
    "lookup": [
        send("m"),
        Step("acknowledge", "PUT", f"{MEX}/{TWO}/inbox/{{m}}/status/acknowledged", TWO),
        *_each_version("endpoint", "GET", f"{MEX}/endpointlookup/X26/TEST_WORKFLOW"),
        *_each_version("workflow", "GET", f"{MEX}/workflowsearch/TEST_WORKFLOW2"),
        *_both("several", "GET", f"{MEX}/endpointlookup/X26/TEST_WORKFLOW2"),
        *_both("no receiver there", "GET", f"{MEX}/endpointlookup/X27/TEST_WORKFLOW"),
        *_both("unknown workflow", "GET", f"{MEX}/endpointlookup/X26/NONE"),
        *_both("unknown workflow searched", "GET", f"{MEX}/workflowsearch/NONE"),
        *_both("lower case", "GET", f"{MEX}/endpointlookup/x26/TEST_WORKFLOW"),
        *_both("blank code", "GET", f"{MEX}/endpointlookup/%20/TEST_WORKFLOW"),
        *_both("blank workflow", "GET", f"{MEX}/endpointlookup/X26/%20"),
        *_both("blank workflow searched", "GET", f"{MEX}/workflowsearch/%20"),
        Step("accept wrong", "GET", f"{MEX}/endpointlookup/X26/TEST_WORKFLOW", None, "application/vnd.mesh.x+json"),
    ],
    "rich": [
        Step("send", "POST", f"{MEX}/{ONE}/outbox", ONE, headers=EVERYTHING_SAID, body=CONTENT, save="m"),
        send("little"),
        Step("uploading", "POST", f"{MEX}/{ONE}/outbox", ONE, headers={**TO_TWO, "mex-chunk-range": "1:3"}, body=CONTENT,
            save="up"),
        Step("acknowledge", "PUT", f"{MEX}/{TWO}/inbox/{{m}}/status/acknowledged", TWO),
        *_both("inbox", "GET", f"{MEX}/{TWO}/inbox/rich", TWO),
        *_both("outbox", "GET", f"{MEX}/{ONE}/outbox/rich", ONE),
        Step("inbox of one", "GET", f"{MEX}/{TWO}/inbox/rich?max_results=1", TWO),
        *(send(f"m{number}") for number in range(9)),
        Step("outbox of ten", "GET", f"{MEX}/{ONE}/outbox/rich?max_results=10", ONE),
        *(Step(f"{box} {bad}", "GET", f"{MEX}/{ONE}/{box}/rich?{bad}", ONE) for box in ("inbox", "outbox") for bad in (
            "max_results=0", "max_results=2001", "max_results=5001", "continue_from=short", "start_time=2020-01-01T00:00:00",
            "start_time=2020-01-01T00:00:00Z", "start_time=2999-01-01", "start_time=yesterday")),
        *_both("update", "POST", f"{MEX}/{ONE}/update", ONE),
        Step("update by nobody", "POST", f"{MEX}/{ONE}/update"),
    ],
    "control": [
        send("m", mex_localid="mine"),
        *(Step(f"mailbox {root}", "GET", f"{root}/{ONE}") for root in ("/admin/mailbox", f"{MEX}/admin/mailbox", f"{MEX}/mailbox")),
        *(Step(f"no mailbox {root}", "GET", f"{root}/NONE") for root in ("/admin/mailbox", f"{MEX}/admin/mailbox",
            f"{MEX}/mailbox")),
        *(Step(f"message {root}", "GET", f"{root}/{{m}}") for root in ("/admin/message", f"{MEX}/admin/message")),
        *(Step(f"no message {root}", "GET", f"{root}/NONE") for root in ("/admin/message", f"{MEX}/admin/message")),
        _posted("failed", "/admin/message/{m}/event", {"status": "error", "code": "21", "event": "SEND",
            "description": "it failed"}),
        *_both("collect what failed", "GET", f"{MEX}/{TWO}/inbox/{{m}}", TWO),
        *_both("head of what failed", "HEAD", f"{MEX}/{TWO}/inbox/{{m}}", TWO),
        *_both("head by sender of what failed", "HEAD", f"{MEX}/{ONE}/inbox/{{m}}", ONE),
        *_both("list without what failed", "GET", f"{MEX}/{TWO}/inbox", TWO),
        *_both("track what failed", "GET", f"{MEX}/{ONE}/outbox/tracking?messageID={{m}}", ONE),
        Step("message that failed", "GET", "/admin/message/{m}"),
        Step("acknowledge what failed", "PUT", f"{MEX}/{TWO}/inbox/{{m}}/status/acknowledged", TWO),
        _posted("accepted again", f"{MEX}/admin/message/{{m}}/event", {"status": "accepted"}),
        *_both("list what is accepted again", "GET", f"{MEX}/{TWO}/inbox", TWO),
        _posted("undeliverable", f"{MEX}/admin/message/{{m}}/event", {"status": "undeliverable", "description": "too late"}),
        *_both("track what is undeliverable", "GET", f"{MEX}/{ONE}/outbox/tracking?messageID={{m}}", ONE),
        *_both("rich inbox", "GET", f"{MEX}/{TWO}/inbox/rich", TWO),
        *_both("rich outbox", "GET", f"{MEX}/{ONE}/outbox/rich", ONE),
        _posted("event of no message", "/admin/message/NONE/event", {"status": "error"}),
        _posted("event without status", "/admin/message/{m}/event", {}),
        _posted("report", f"{MEX}/admin/report", {**REPORT, "status": "error"}),
        _posted("report of no delivery", f"{MEX}/admin/report", {**REPORT, "status": "undeliverable"}),
        _posted("report without subject", f"{MEX}/admin/report", {k: REPORT[k] for k in ("mailbox_id", "code", "description",
            "workflow_id")}),
        *(step for name in ("report", "report of no delivery", "report without subject") for step in (
            *_both(f"collect {name}", "GET", f"{MEX}/{ONE}/inbox/{{{name}}}", ONE),
            *_both(f"head of {name}", "HEAD", f"{MEX}/{ONE}/inbox/{{{name}}}", ONE),
            Step(f"message of {name}", "GET", f"/admin/message/{{{name}}}"))),
        *_both("list reports", "GET", f"{MEX}/{ONE}/inbox", ONE),
        *_both("rich inbox of reports", "GET", f"{MEX}/{ONE}/inbox/rich", ONE),
        Step("acknowledge report", "PUT", f"{MEX}/{ONE}/inbox/{{report}}/status/acknowledged", ONE),
        _posted("report to nobody", f"{MEX}/admin/report", {**REPORT, "mailbox_id": "NONE"}),
        _posted("report of nothing", f"{MEX}/admin/report", {}),
        _posted("report without prefix", "/admin/report", REPORT),
        Step("report that is no JSON", "POST", f"{MEX}/admin/report", headers={"content-type": "application/json"}, body=b"{"),
        Step("reset one", "DELETE", f"/admin/reset/{ONE}"),
        Step("reset one with prefix", "DELETE", f"{MEX}/admin/reset/{ONE.lower()}"),
        Step("list after reset", "GET", f"{MEX}/{ONE}/inbox", ONE),
        Step("reset nobody", "DELETE", "/admin/reset/NONE"),
        Step("reset", "DELETE", f"{MEX}/admin/reset"),
        Step("message after reset", "GET", "/admin/message/{m}"),
    ],
    "nowhere": [
        *_both("root", "GET", "/nothing"),
        *_both("below a mailbox", "GET", f"{MEX}/{ONE}/nothing", ONE),
        *_both("another method", "DELETE", f"{MEX}/{ONE}/inbox", ONE),
    ],
}  # fmt: skip
