"""The transformers that Fiveways brings, by name; and those of a deployment's own, by module and class (principle 11)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fiveways.deployment.callables import declared_callable
from fiveways.errors import DeploymentError
from fiveways.methods.synchronous.transformation.transformer import Place, Transformer

NAMES: dict[str, str] = {
    "hl7v2-to-fhir": "fiveways.methods.synchronous.transformation.v2.incoming:Incoming",
    "fhir-to-hl7v2": "fiveways.methods.synchronous.transformation.v2.outgoing:Outgoing",
    "xml": "fiveways.methods.synchronous.transformation.xml.legacy:LegacyXml",
    "hl7v3-demographics": "fiveways.methods.synchronous.transformation.v3.demographics:Demographics",
    "hl7v3-demographics-server": "fiveways.methods.synchronous.transformation.v3.server:DemographicsServer",
}
"""Where each is: loaded when a deployment names it."""


def made(where: str, by: str, place: Place, base: Path) -> Transformer:
    """The transformer that stands at `where` in the deployment file. DeploymentError where there is none, or it cannot be made."""
    if ":" not in by and by not in NAMES:
        raise DeploymentError(f"{where}.by: found {by!r}, expected module:Class or one of: {', '.join(sorted(NAMES))}")
    class_: Callable[[Place], Transformer] = declared_callable(f"{where}.by", NAMES.get(by, by), base)
    try:
        return class_(place)
    except Exception as error:
        name = "" if isinstance(error, DeploymentError) else f"{type(error).__name__}: "
        raise DeploymentError(f"{where}: {by} cannot be made: {name}{error}") from error
