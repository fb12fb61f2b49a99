"""Routing by patient: a message addressed to whichever practice a patient is registered with (`GPPROVIDER_…`)."""
