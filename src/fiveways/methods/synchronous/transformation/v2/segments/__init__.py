"""Segments of HL7 v2 as FHIR R4 has them (v2-to-FHIR segment maps), as far as both can say it."""

from __future__ import annotations

from fiveways.methods.synchronous.transformation.v2.segments.clinical import AL1, DG1
from fiveways.methods.synchronous.transformation.v2.segments.contact import NK1
from fiveways.methods.synchronous.transformation.v2.segments.encounter import PV1, PV2
from fiveways.methods.synchronous.transformation.v2.segments.event import EVN
from fiveways.methods.synchronous.transformation.v2.segments.patient import MRG, PD1, PID

SEGMENTS = {table.name: table for table in (EVN, PID, PD1, NK1, MRG, PV1, PV2, DG1, AL1)}
"""The tables by the names of their segments."""
