"""FHIR's asynchronous request pattern: what is the same for who answers so and for who passes such answers on (FHIR R4 §3.1.11).

`Prefer: respond-async` (RFC 7240) asks for it; 202 with a Content-Location says where the outcome will be told.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urljoin, urlsplit

from fiveways.types import Headers

ASKED: Final = b"respond-async"
_TARGET: Final = re.compile(r"/[!-~]*")


def prefers_async(headers: Headers) -> bool:
    """Whether a request asks to be answered asynchronously."""
    said = b",".join(value for name, value in headers if name == b"prefer")
    return any(part.partition(b";")[0].strip().lower() == ASKED for part in said.split(b","))


def location(headers: Headers) -> str:
    """Where an answer says that its outcome is told; '' where it does not."""
    found = {name: value for name, value in reversed(headers) if name in (b"content-location", b"location")}
    return (found.get(b"content-location") or found.get(b"location") or b"").decode("latin-1")


def own(where: str, url: str, target: str) -> str | None:
    """Path and query of an address that a back end at `url` has named in its answer to a request for `target`; None for one that is
    somewhere else."""
    origin = urlsplit(url)
    try:
        found = urlsplit(urljoin(urljoin(url, target), where))
    except ValueError:
        return None
    path = found.path + (f"?{found.query}" if found.query else "")
    if (found.scheme, found.netloc) != (origin.scheme, origin.netloc) or _TARGET.fullmatch(path) is None:
        return None
    return path


def below(path: str, url: str) -> str | None:
    """What of a path and query lies below a back end's own base; None for what does not."""
    base = urlsplit(url).path.rstrip("/")
    return path[len(base) :] if path.startswith(f"{base}/") else None
