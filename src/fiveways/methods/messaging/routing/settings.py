"""The deployment file's words for routing by patient."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field, model_validator

from fiveways.deployment.settings import Duration, Name, PythonName, Settings


class PatientSearch(Settings):
    """A search for the Patient, through the gateway as any consumer's (identity, entitlement, quota and audit apply)."""

    api: Name
    """The API of this deployment that has the patients: FHIR R4, searched by `identifier`."""
    application: Name = Field(alias="as")
    """The application of this deployment that searches. It is subscribed to the API, which takes `signed-jwt`."""


class RoutingSettings(Settings):
    """How the practice is found for a message that is addressed to a patient's (`GPPROVIDER_…`): in one of three ways."""

    file: Annotated[str, Field(min_length=1)] | None = None
    """A CSV file with the columns nhs_number, date_of_birth, family and ods_code, read again when it changes."""
    fhir: PatientSearch | None = None
    """A search for the Patient."""
    callable: PythonName | None = None
    """A Python callable of your own, `(demographics, correlation) -> practice or failure`, beside this file or installed."""
    within: Duration = Field(default=timedelta(seconds=5), gt=timedelta(0), le=timedelta(minutes=1))
    """How long it may take. The sender waits for it; after that it is told to send again later (503)."""

    @model_validator(mode="after")
    def _in_one_way(self) -> RoutingSettings:
        if sum(each is not None for each in (self.file, self.fhir, self.callable)) != 1:
            raise ValueError("expected one of file, fhir, callable")
        return self
