"""What a deployment says of a transformation façade."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from pydantic import Field

from fiveways.deployment.settings import Duration, Settings


class TransformSettings(Settings):
    """What transforms, and how."""

    by: Annotated[
        str,
        Field(
            pattern=r"^([a-z0-9]+(-[a-z0-9]+)*|[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*)$",
            examples=["hl7v2-to-fhir", "mappings:Laboratory"],
        ),
    ]
    """The transformer: one of Fiveways' own by its name, or a Python class of yours (`module:Class`, made as `Class(place)`)."""
    options: dict[str, Any] = Field(default_factory=dict)
    """What the transformer is told."""
    remember: Duration = timedelta(days=7)
    """For how long a message that comes again is known, where nothing promises it (a promise is known for as long as it is
    kept)."""
