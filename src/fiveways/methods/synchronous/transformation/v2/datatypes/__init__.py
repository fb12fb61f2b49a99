"""Data types of HL7 v2 as FHIR R4 has them."""
