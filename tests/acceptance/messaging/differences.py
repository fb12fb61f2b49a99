"""Where Fiveways differs from the public mesh-sandbox, and why."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """Steps (`scenario: step`) and places in their answers that differ, as patterns each of which must be met; and why."""

    steps: tuple[str, ...]
    places: tuple[str, ...]
    reason: str


DIFFERENCES = (
    # --- what the public sandbox lets pass, and the specification does not -----------------------------------------------------
    Difference(
        ("authorization: * scheme v?", "authorization: scheme a* v?", "authorization: words v?"),
        ("body.errorDescription", "body.detail.0.msg"),
        "A token of another scheme, or of none, is not one of NHSMESH; what it says of a mailbox is not looked at.",
    ),
    Difference(
        ("authorization: two spaces v?",),
        ("body.errorDescription", "body.detail.0.msg"),
        "Between scheme and token there may be several spaces (RFC 9110 §11.4).",
    ),
    Difference(("send: send from another v?",), ("status",), "Mex-From must be the sender (code 07)."),
    Difference(
        ("send: send not the workflow's * v?",),
        ("status",),
        "Who may send a workflow to whom is kept to (code 17); workflows that nobody declared are everybody's.",
    ),
    Difference(("chunks: another total",), ("status",), "A message has as many chunks as it was announced with."),
    Difference(("chunks: no content",), ("status",), "A chunk without content is refused as a message without content is."),
    Difference(
        ("chunks: list with a gap v?",),
        ("body.messages", "body.approx_inbox_count"),
        "A message is visible once all its chunks are there, not once the last one is.",
    ),
    Difference(("chunks: the middle",), ("status",), "The chunk that was missing is taken: chunks may come in any order."),
    Difference(
        ("control: acknowledge what failed",),
        ("status",),
        "What has failed cannot be acknowledged: it is gone, and its recipient is told so.",
    ),
    Difference(
        ("list: filter [*]W1",),
        ("body.messages",),
        "A filter that begins with a star says what is contained; a letter at its end is not taken for the second star.",
    ),
    # --- what clients can read -------------------------------------------------------------------------------------------------
    Difference(
        ("*: *",),
        ("body.internal_id",),
        "Every refusal of version 2 names the exchange, as the specification has it; the audit knows it by this id.",
    ),
    Difference(
        ("chunks: after it is whole", "chunks: beyond what was announced"),
        ("content-type", "body.message", "body.detail.0.*"),
        "mesh-client reads `detail` of every refusal of a chunk, and fails where there is none.",
    ),
    Difference(
        ("chunks: second again", "chunks: third", "chunks: the last before the middle", "gzip: second"),
        ("body", "body.message_id"),
        "The specification answers a chunk with the message's id; the public sandbox with null.",
    ),
    Difference(
        ("chunks: a*", "chunks: b* a*", "chunks: to no message", "gzip: another encoding"),
        ("body.message_id",),
        "A refusal of a chunk names its message.",
    ),
    Difference(
        ("chunks: to no message", "track: by recipient v2", "track: none v2", "track: unknown local id v2"),
        ("body.detail.0.code", "body.detail.0.event", "body.detail.0.msg"),
        "A message that is not there is said to be so alike everywhere (code 20).",
    ),
    Difference(
        ("track: by recipient v1", "track: none v1", "track: unknown local id v1"),
        ("body.errorCode", "body.errorDescription", "body.errorEvent"),
        "As above.",
    ),
    Difference(
        ("track: accepted v3",),
        ("status",),
        "A later version gets the shapes of version 2 everywhere; the public sandbox fails.",
    ),
    Difference(
        ("handshake: accept *, *",),
        ("status",),
        "What a client accepts is a list with commas (RFC 9110 §12.5.1).",
    ),
    Difference(
        ("list: continue from nonsense v2", "rich: *box start_time=yesterday"),
        ("status",),
        "400, where the public sandbox fails.",
    ),
    Difference(
        ("rich: outbox start_time=2020-01-01T00:00:00Z",),
        ("status",),
        "A time with a zone; the public sandbox fails.",
    ),
    Difference(("rich: inbox start_time=2020-01-01T00:00:00Z",), ("body.links.self",), "Times in links are in UTC, as Z."),
    # --- content as it was sent ------------------------------------------------------------------------------------------------
    Difference(
        ("chunks: collect [123] v2", "collect: whole, gzip taken v?"),
        ("body", "content-encoding"),
        "Content is handed out as it was sent, not compressed on the way: its checksum holds, and no time goes into it.",
    ),
    Difference(
        ("chunks: track while uploading v1",),
        ("body.fileSize",),
        "The bytes that are here so far, not 0 until the last.",
    ),
    Difference(
        ("*",),
        ("mex-correlationid",),
        "A recipient is told the conversation that a message belongs to (the sender's X-Correlation-ID), to answer in it.",
    ),
    # --- what became of a message ----------------------------------------------------------------------------------------------
    Difference(
        ("control: track what failed v2", "control: track what is undeliverable v2"),
        ("body.status_code", "body.status_description", "body.status_event", "body.status_timestamp"),
        "Version 2 has fields for why a message failed: its sender is told, not only of reports.",
    ),
    Difference(
        ("control: track what is undeliverable v1",),
        ("body.failureDiagnostic",),
        "A message moved to a state has forgotten what followed it: no life has two ends.",
    ),
    Difference(("control: rich inbox v?",), ("body.messages.0.status_code",), "As above."),
    Difference(
        ("control: collect report v?", "control: head of report v?"),
        ("mex-statusevent",),
        "Reports tell of sending (event SEND).",
    ),
    Difference(("control: message of report",), ("body.status_event",), "As above."),
    # --- a sandbox's own -------------------------------------------------------------------------------------------------------
    Difference(
        ("*track*",),
        ("body.recipientOrgName", "body.senderOrgName", "body.recipient_org_name"),
        "Our organisations have names.",
    ),
    Difference(("control: message *",), ("body.recipient_org_name", "body.sender_org_name"), "As above."),
    Difference(("control: mailbox *",), ("body.org_name",), "As above."),
    Difference(
        ("lookup: endpoint v[23]", "lookup: workflow v[23]", "lookup: several v2"),
        ("body.results.*.observed_collect.*",),
        "Version 2 says, beside what a lookup finds, how soon a mailbox has collected its newest messages (A44).",
    ),
    Difference(("control: mailbox *",), ("body.billing_entity",), "We know of no billing."),
    Difference(
        ("control: message of report without subject",),
        ("body.local_id",),
        "'' where nothing was said, as for other messages.",
    ),
    Difference(("control: rich inbox of reports v?",), ("body.messages.0.local_id",), "As above."),
    Difference(
        ("control: event without status", "control: report of nothing", "control: report that is no JSON"),
        ("body.body",),
        "A refusal does not repeat what was sent.",
    ),
    Difference(
        ("control: report that is no JSON",),
        ("body.detail.0.ctx.error", "body.detail.0.input", "body.detail.0.loc"),
        "Which character it was is for the tester's own parser to say.",
    ),
    Difference(
        ("ping: ping *", "ping: /health*", "ping: /messageexchange/deepping"),
        ("body.build_label", "body.env"),
        "What answers is another.",
    ),
    Difference(("ping: /_ping",), ("body.*",), "/_ping at the root is the platform's, which has more than mailboxes."),
    Difference(("ping: /_status",), ("status",), "/_status at the root is the platform's, and asks for its key."),
    Difference(
        ("control: report without prefix", "nowhere: below a mailbox v?"),
        ("body.detail",),
        "A refusal of a path is like any other.",
    ),
    Difference(
        ("control: report without prefix", "nowhere: below a mailbox v2"),
        ("content-type", "body.detail.0.*"),
        "As above.",
    ),
    Difference(("nowhere: below a mailbox v1",), ("body.errorCode", "body.errorDescription", "body.errorEvent"), "As above."),
    Difference(("nowhere: another method v?",), ("status",), "What is not there is not there by another method."),
    Difference(
        ("nowhere: root v?",), ("content-type", "body.*"), "Elsewhere is the gateway, which tells its faults in RFC 9457's form."
    ),
)
