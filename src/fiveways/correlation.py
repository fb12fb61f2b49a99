"""Ids that follow an exchange through all five methods, and how they travel in headers.

X-Request-ID names one request (a resend keeps it), X-Correlation-ID the conversation it belongs to, and W3C trace context
(`traceparent`) the trace. Whatever a consumer does not send is made here.
"""

from __future__ import annotations

import re
from typing import Final

from uuid_utils import uuid4, uuid7

GUID: Final = re.compile(rb"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
_TRACEPARENT: Final = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
_PRINTABLE: Final = re.compile(rb"[\x21-\x7e]{1,256}")


def new_id() -> str:
    """A UUIDv7: unique, and in order of time."""
    return str(uuid7())


def is_guid(value: bytes) -> bool:
    """Whether `value` is a GUID in its 8-4-4-4-12 form, in either case."""
    return GUID.fullmatch(value) is not None


class Correlation:
    """The ids of one request. `request_id` and `correlation_id` are bytes as they stand on the wire.

    `given` says whether the consumer sent the request id itself (only then can a repeat be recognised by it), `guid` whether it
    is a GUID, and `correlation_given` whether the consumer sent the correlation id; only what was given is mirrored to the
    consumer under the second name.
    """

    __slots__ = ("correlation_given", "correlation_id", "given", "guid", "request_id", "traceparent", "tracestate")

    def __init__(
        self,
        request_id: bytes | None = None,
        correlation_id: bytes | None = None,
        traceparent: bytes | None = None,
        tracestate: bytes | None = None,
    ) -> None:
        self.guid = request_id is None or is_guid(request_id)
        self.given = request_id is not None and (self.guid or _PRINTABLE.fullmatch(request_id) is not None)
        if request_id is None or not self.given:
            self.guid, request_id = True, str(uuid4()).encode()
        self.request_id: bytes = request_id
        self.correlation_given = correlation_id is not None and _PRINTABLE.fullmatch(correlation_id) is not None
        self.correlation_id: bytes = correlation_id if self.correlation_given and correlation_id is not None else self.request_id
        valid = valid_traceparent(traceparent)
        self.traceparent = traceparent if valid else None
        self.tracestate = tracestate if valid else None


def valid_traceparent(value: bytes | None) -> bool:
    """Whether `value` is a usable W3C traceparent (Trace Context §3.2: no all-zero ids, version not ff)."""
    if value is None:
        return False
    match = _TRACEPARENT.fullmatch(value)
    if match is None or match[1] == b"ff" or match[2] == b"0" * 32 or match[3] == b"0" * 16:
        return False
    return not (match[1] == b"00" and len(value) != 55)
