"""Legacy XML, with and without SOAP, on one side; FHIR on the other."""
