"""Pages for people, where channels are read: how things are, on a board, and a conversation.

    GET /boards/{channel}         the state of a feed that is merged, live; of every other channel its newest messages
    GET /talk/{channel}           a conversation
    GET /boards/assets/{name}     what both are made of: nothing of a page comes from anywhere else

A page is the same for everybody and for any channel, and knows nothing. Who opens it brings an access token in the fragment of the
address (`#token=…`), which browsers do not send; the page then reads the channel as any client does. `&correlation=…` beside it is
the correlation id of what is said there. Another fragment in the same window is another token, for a board that is up for days.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, MutableMapping
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

Scope = MutableMapping[str, Any]
Send = Callable[[Scope], Awaitable[None]]

_FOLDER: Final = Path(__file__).parent / "pages"
_PATH: Final = re.compile(r"/boards/assets/(?P<asset>[a-z]+\.(?:js|css|svg))|/(?P<page>boards|talk)/[^/]{1,1000}")
_PAGES: Final = {"boards": "board.html", "talk": "talk.html"}
_TYPES: Final = {
    ".html": b"text/html; charset=utf-8", ".js": b"text/javascript; charset=utf-8", ".css": b"text/css; charset=utf-8",
    ".svg": b"image/svg+xml",
}  # fmt: skip
_POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    b"form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
"""Nothing from elsewhere, nothing inline, in nobody's frame; and no text is ever taken for HTML or script."""
_FIELDS: Final = [
    (b"content-security-policy", _POLICY), (b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"), (b"cache-control", b"no-cache"),
]  # fmt: skip


class File(NamedTuple):
    """A file as it is sent."""

    type: bytes
    tag: bytes
    body: bytes


def find(path: str) -> File | None:
    """What is at a path (as it was sent: percent-encoded); None where no page is."""
    match = _PATH.fullmatch(path)
    if match is None:
        return None
    return files().get(match["asset"] or _PAGES[match["page"]])


@cache
def files() -> dict[str, File]:
    """The files there are, by name."""
    found = [file for file in _FOLDER.iterdir() if file.suffix in _TYPES]
    return {file.name: _file(file) for file in found}


def _file(path: Path) -> File:
    body = path.read_bytes()
    return File(_TYPES[path.suffix], b'"%b"' % hashlib.sha256(body).hexdigest()[:32].encode(), body)


async def show(file: File, scope: Scope, send: Send) -> None:
    """Answer a request for a page."""
    known = dict(scope["headers"]).get(b"if-none-match", b"")
    if scope["method"] not in ("GET", "HEAD"):
        status, fields, body = 405, [(b"allow", b"GET, HEAD")], b""
    elif file.tag in known:
        status, fields, body = 304, [(b"etag", file.tag), *_FIELDS], b""
    else:
        status, fields, body = 200, [(b"content-type", file.type), (b"etag", file.tag), *_FIELDS], file.body
    if status != 304:
        fields.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body if scope["method"] != "HEAD" else b""})
