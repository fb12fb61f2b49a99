"""Deployments that break rules of messaging, and some that do not."""

from __future__ import annotations

from tests.unit.linter.case import Case

POSTGRES = 'store: {url: "postgresql://a@b/c", payloads: "s3://bucket"}'
ONCE = "W: {need: {once_only: true}}"


def messages(*workflows: str, store: str = "store: {}", sandbox: bool = False) -> str:
    """A deployment of these workflows, a line each, from line 9. B collects every hour, C every minute, A nobody knows."""
    return f"""\
{store}
messaging: {{shared_key: env:KEY{", sandbox: true" if sandbox else ""}}}
organisations: {{X26: {{name: x}}}}
mailboxes:
  A: {{organisation: X26, password: env:P}}
  B: {{organisation: X26, password: env:P, collects_every: 1h}}
  C: {{organisation: X26, password: env:P, collects_every: 1m}}
workflows:
""" + "".join(f"  {each}\n" for each in workflows)


def w(line: int, *path: str) -> tuple[int, str]:
    return line, ".".join(("workflows", *path))


MESSAGING: dict[str, list[Case]] = {
    "MS01": [
        Case(messages("W: {from: [A], to: [B]}"), (w(9, "W"),)),
        Case(messages("W: {need: {intent: command}}", "V: {need: {outcome: outcome}}"), (w(9, "W"), w(10, "V"))),
        Case(
            messages("W: {from: [A, C], to: [B], acknowledged_by: W_ACK}", "W_ACK: {from: [B], to: [A]}"),
            (w(9, "W", "acknowledged_by"),),
        ),
        Case(
            messages("W: {from: [A], to: [B, C], acknowledged_by: W_ACK}", "W_ACK: {from: [B], to: [A]}"),
            (w(9, "W", "acknowledged_by"),),
        ),
        Case(messages("W: {from: [A], to: [B], acknowledged_by: W_ACK}", "W_ACK: {from: [B], to: [A]}")),
        Case(messages("W: {from: [A], to: [B], acknowledged_by: W_ACK}", "W_ACK: {}")),
        Case(messages("W: {need: {outcome: none}}", "V: {need: {outcome: receipt}}")),
        Case(messages("W: {from: [A], to: [B]}", sandbox=True)),
    ],
    "MS02": [
        Case(messages("W: {acknowledged_by: W_ACK}", "W_ACK: {}"), (w(9, "W"),)),
        Case(messages("W: {acknowledged_by: W, need: {outcome: none}}"), (w(9, "W"),)),
        Case(messages("W: {acknowledged_by: W_ACK, correlated_by: message-header}", "W_ACK: {}")),
        Case(messages("W: {acknowledged_by: W_ACK, correlated_by: local-id}", "W_ACK: {}")),
        Case(messages("W: {}")),
        Case(messages("W: {acknowledged_by: W_ACK}", "W_ACK: {}", sandbox=True)),
    ],
    "MS03": [
        Case(messages("W: {}", store='store: {payloads: "memory://"}'), ((1, "store.payloads"),)),
        Case(messages("W: {}", store='store: {url: "sqlite:///:memory:"}'), ((1, "store.url"),)),
        Case(messages("W: {}")),
        Case(messages("W: {}", store=POSTGRES)),
        Case(messages("W: {}", store='store: {payloads: "memory://"}', sandbox=True)),
        Case('store: {payloads: "memory://"}\n'),
    ],
    "MS04": [
        Case(messages("W: {}", ONCE.replace("W", "V")), (w(10, "V", "need", "once_only"),)),
        Case(messages(ONCE, store='store: {url: "sqlite:///x.db", payloads: "s3://bucket"}'), (w(9, "W", "need", "once_only"),)),
        Case(messages(ONCE, store='store: {url: "postgresql://a@b/c"}'), (w(9, "W", "need", "once_only"),)),
        Case(messages(ONCE, store=POSTGRES)),
        Case(messages("W: {need: {once_only: false}}", "V: {}")),
        Case(messages(ONCE, sandbox=True)),
    ],
    "MS05": [
        Case(messages("W: {need: {urgent: true}}"), (w(9, "W", "need", "urgent"),)),
        Case(messages("W: {need: {urgent: true, human_actor: true}}", "V: {}"), (w(9, "W", "need", "urgent"),)),
        Case(messages("W: {need: {human_actor: true}}")),
        Case(messages("W: {}")),
    ],
    "MS06": [
        Case(messages("W: {to: [A, B, C], need: {latency_budget: 30m}}"), (w(9, "W", "need", "latency_budget"),)),
        Case(messages("W: {to: [B, C], need: {latency_budget: 30s}}"), (w(9, "W", "need", "latency_budget"),) * 2),
        Case(messages("W: {need: {needed_now: true}}"), (w(9, "W", "need", "needed_now"),)),
        Case(messages("W: {need: {near_zero_latency: true}}"), (w(9, "W", "need", "near_zero_latency"),)),
        Case(messages("W: {to: [B, C], need: {latency_budget: 1h}}")),
        Case(messages("W: {to: [A], need: {latency_budget: 1s}}")),
        Case(messages("W: {to: [B]}", "V: {need: {latency_budget: 1s}}")),
    ],
    "MS07": [
        Case(messages("W: {}", "V: {undelivered_after: 1d}"), (w(9, "W"), w(10, "V"))),
        Case(messages("W: {failures: {}}"), (w(9, "W"),)),
        Case(messages("W: {failures: {worked_by: Bed desk}}", "V: {failures: {told: [A]}}")),
        Case(messages("W: {failures: {worked_by: Bed desk, told: [A, B]}}")),
        Case(messages("W: {}", sandbox=True)),
    ],
}
