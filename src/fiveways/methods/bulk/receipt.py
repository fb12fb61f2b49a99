"""The receipt of a transfer: the four assurances, each with what it rests on, signed so that its sender can show it (B19–B22).

A compact JWS (RFC 7515) under the platform's key, `typ: bulk-receipt+jwt`; whoever has the published key set can check it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from fiveways.methods.bulk.agreement import Claims
from fiveways.methods.bulk.contents import Content
from fiveways.methods.bulk.service import Transfer, Verdict
from fiveways.methods.bulk.states import State

TYPE = "bulk-receipt+jwt"
Sign = Callable[[Mapping[str, Any]], str]
"""Signs claims as a compact JWS of type `TYPE`."""


def receipt(
    transfer: Transfer,
    content: Content | None,
    claims: Claims,
    verdict: Verdict,
    events: Sequence[Any],
    facts: Mapping[str, str],
    state: State,
    now: datetime,
) -> dict[str, Any]:
    """What the receipt of a transfer says, as JSON; `facts`: of the connection that it came by; `events`: rows of its life."""
    unchanged: dict[str, Any] = {"said_by": [each for each in claims.said_by if each in ("manifest", "sidecar")]}
    digests = {}
    if content is not None and content.blake3 is not None:
        digests["blake3"] = content.blake3.hex()
    if content is not None and content.sha256 is not None:
        digests["sha256"] = content.sha256.hex()
    said = {name: value for name, value in (("sha256", claims.sha256), ("blake3", claims.blake3)) if value is not None}
    unchanged |= {"digests": digests, "said": said}
    unchanged["agrees"] = all(digests.get(name) == value for name, value in said.items()) if said else None
    complete: dict[str, Any] = {
        "recognised_by": list(claims.said_by) or ["upload closed"], "bytes": transfer.size, "bytes_said": claims.size,
        "records": verdict.records or None, "records_said": claims.records, "sequence": transfer.sequence,
    }  # fmt: skip
    encrypted = {
        "transport": {key: facts[key] for key in ("cipher", "mac", "kex", "host_key") if key in facts},
        "at_rest": {"algorithm": "AES-256-GCM", "key": content.wrapped_by} if content is not None and content.wrapped_by else None,
    }
    return {
        "iat": int(now.timestamp()),
        "jti": transfer.id,
        "sub": transfer.partner,
        "feed": transfer.feed,
        "file": transfer.name,
        "correlation_id": transfer.correlation,
        "received": _moment(transfer.at),
        "outcome": str(state),
        "reasons": list(verdict.reasons),
        "records": {"counted": verdict.records, "accepted": verdict.accepted, "set_aside": verdict.set_aside},
        "assurances": {
            "encrypted": encrypted,
            "unchanged": unchanged,
            "complete": complete,
            "audited": [{"event": event[2], "state": event[3], "at": _moment(event[4])} for event in events],
        },
    }


def _moment(micros: int) -> str:
    return datetime.fromtimestamp(micros / 1e6, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
