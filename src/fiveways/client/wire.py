"""The public mesh-client, and what it does not do: following one's own message by local id, correlation, and errors by kind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from fiveways.client.errors import ClientError, Denied, Gone, Refused, Unavailable

try:
    from mesh_client import MeshClient, MeshError
    from requests import HTTPError, RequestException, Response
    from urllib3.exceptions import HTTPError as TransportError
except ImportError as missing:
    raise ClientError("mailboxes need the public MESH client: pip install 'fiveways[client]'") from missing

CORRELATION = "X-Correlation-ID"
_LATER = frozenset((408, 425, 429))
"""Statuses below 500 that say nothing of the request itself."""


@dataclass(frozen=True, slots=True)
class Tracked:
    """What is known of what we sent; where several messages have the local id, `message_id` is '', since which is not said."""

    message_id: str = ""
    uploading: bool = False


class Wire(MeshClient):
    """mesh-client, one request at a time: it is not thread-safe."""

    def by_local_id(self, local_id: str) -> Tracked | None:
        """What we sent under this local id; None where nothing was, or what was has come to nothing (an upload given up)."""
        url = f"{self.mailbox_url}/outbox/tracking/{quote(local_id, safe='')}"
        response: Response = self._session.get(url, timeout=self._timeout, allow_redirects=False)
        if response.status_code == 404:
            return None
        if response.status_code == 300:
            return Tracked()
        response.raise_for_status()
        said = response.json()
        status = str(said.get("status", "")).lower()
        return None if status == "error" else Tracked(str(said["messageId"]), status == "uploading")

    @contextmanager
    def correlated(self, correlation: str) -> Iterator[None]:
        """Requests in the block belong to a conversation."""
        if correlation:
            self._session.headers[CORRELATION] = correlation
        try:
            yield
        finally:
            self._session.headers.pop(CORRELATION, None)


@contextmanager
def errors() -> Iterator[None]:
    """What the client raises in the block, as Unavailable, Denied, Gone or Refused."""
    try:
        yield
    except HTTPError as error:
        raise _by_status(error.response) from error
    except MeshError as error:
        raise Refused(str(error.args[0] if error.args else error)) from error
    except (RequestException, TransportError, json.JSONDecodeError, OSError) as error:
        raise Unavailable(f"{type(error).__name__}: {error}") from error


def _by_status(response: Response | None) -> ClientError:
    if response is None:
        return Unavailable("no answer")
    status, (code, text) = response.status_code, _said(response)
    words = f"{status} {text or response.reason}".strip()
    if status >= 500 or status in _LATER:
        return Unavailable(words)
    if status in (401, 403):
        return Denied(words, code)
    return Gone(words) if status in (404, 410) else Refused(words, code)


def refusal(response: Response) -> ClientError | None:
    """Why a message or a chunk was not taken; None where it was."""
    return None if response.status_code in (200, 202) else _by_status(response)


def _said(response: Response) -> tuple[str, str]:
    """Code and words of a refusal, in version 1 or 2 of its shape; '' where it has none."""
    try:
        said: Any = response.json()
    except ValueError:
        return "", ""
    if not isinstance(said, dict):
        return "", ""
    detail = said.get("detail")
    first = detail[0] if isinstance(detail, list) and detail and isinstance(detail[0], dict) else said
    return str(first.get("code") or first.get("errorCode") or ""), str(first.get("msg") or first.get("errorDescription") or "")
