"""HL7 V3 over SOAP: demographics as the NHS Spine has asked for them, on one side; FHIR on the other."""
