"""Segments of HL7 v2 as FHIR R4 has them (v2-to-FHIR segment maps), as far as both can say it."""

from __future__ import annotations

from fiveways.methods.synchronous.transformation.v2.segments.encounter import PV1
from fiveways.methods.synchronous.transformation.v2.segments.patient import NK1, PID

SEGMENTS = {table.name: table for table in (PID, NK1, PV1)}
"""The tables by the names of their segments."""
