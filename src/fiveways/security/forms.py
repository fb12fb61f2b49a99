"""What clients say to the authorization server: forms (RFC 6749 Appendix B) and queries, each parameter once."""

from __future__ import annotations

import asyncio
import re
from urllib.parse import parse_qsl

from starlette.requests import Request

from fiveways.security import refusals as r
from fiveways.security.refusals import Refused

BODY_LIMIT = 64 * 1024
BODY_TIMEOUT = 10.0
FIELDS_LIMIT = 50
_FORM = re.compile(r"application/x-www-form-urlencoded(; ?charset=(utf-8|\"utf-8\"))?", re.IGNORECASE)
"""The platform takes the type by itself only; clients that cannot help naming the one character set it can have are taken too."""


async def form_of(request: Request) -> dict[str, str]:
    """The parameters of a form (RFC 6749 Appendix B); one without a value counts as left out, one given twice is refused
    (RFC 6749 §3.2)."""
    types = request.headers.getlist("content-type")
    if len(types) != 1 or _FORM.fullmatch(types[0].strip()) is None:
        raise Refused(r.CONTENT_TYPE)
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            body = await _body(request)
    except TimeoutError as error:
        raise Refused(r.BODY_TIMEOUT) from error
    return _parameters(body)


def query_of(request: Request) -> dict[str, str]:
    """The parameters of a query, as those of a form."""
    return _parameters(request.scope["query_string"])


def _parameters(encoded: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(encoded.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=FIELDS_LIMIT)
    except ValueError as error:
        raise Refused(r.BODY_MALFORMED) from error
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise Refused(r.PARAMETER_REPEATED)
    return {name: value for name, value in parameters.items() if value}


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT:
            raise Refused(r.BODY_TOO_LARGE)
    return bytes(body)
