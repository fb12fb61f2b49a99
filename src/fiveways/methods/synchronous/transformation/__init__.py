"""The transformation façade (S57-S63): old formats on one side, FHIR on the other."""
