"""What a create or an update must be, whatever the profile: a resource of the type, and of the id, that its path says."""

from __future__ import annotations

import re
from typing import Any, Final

from fiveways.fhir.interactions import RESOURCE_TYPES

_PATH: Final = re.compile(rb"/([A-Z][A-Za-z]+)(?:/([A-Za-z0-9.-]{1,64}))?/?")


def mismatch(method: str, below: bytes, document: Any) -> str | None:
    """Why `document` cannot be created or updated at this path (FHIR R4 http, 3.1.0.4.1 and 3.1.0.8); None where it can, or
    where the path is none of a create or update."""
    match = _PATH.fullmatch(below)
    if match is None or match[1] not in RESOURCE_TYPES or (method, match[2] is not None) not in (("POST", False), ("PUT", True)):
        return None
    if not isinstance(document, dict):
        return "The body is no resource"
    kind, wanted = document.get("resourceType"), match[1].decode()
    if kind != wanted:
        return f"The body is no {wanted}, as the path has it: resourceType"
    if match[2] is not None and document.get("id") != match[2].decode():
        return "The resource's id is not the one that the path has"
    return None
