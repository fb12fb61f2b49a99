"""Codes of HL7's tables and of FHIR's value sets."""
