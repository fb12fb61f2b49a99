"""FHIR as Fiveways needs it: the http paradigm's interactions, and OperationOutcome."""
