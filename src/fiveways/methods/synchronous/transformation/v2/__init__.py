"""HL7 v2 and FHIR R4, by tables that are read in both directions."""
