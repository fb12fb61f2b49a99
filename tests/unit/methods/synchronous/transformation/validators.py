"""What others' validators say of a Bundle: fhirkit-rs, and pyrofile-validator with the R4 and UK Core packages where they are."""

from __future__ import annotations

import contextlib
import io
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import fhirkit

from fiveways.methods.synchronous.transformation.encoding import encode

GIVEN = Path(__file__).parents[6] / "shared" / "data"
PACKAGES = [
    GIVEN / "fhir" / "hl7.fhir.r4.core-4.0.1-rebuilt.tgz",
    GIVEN / "fhir" / "fhir.r4.ukcore-staging-2025-06-20-rebuilt.tgz",
]
HERE = all(package.exists() for package in PACKAGES)
"""Whether the packages are on this machine."""


@lru_cache(maxsize=1)
def _validator() -> Any:
    from pyrofile_validator import Validator
    from pyrofile_validator.config import ValidatorConfig

    with contextlib.redirect_stdout(io.StringIO()):
        return Validator(ValidatorConfig(local_package_paths=[str(package) for package in PACKAGES], allow_unknown_extensions=True))


def structure_problems(bundle: dict[str, Any]) -> list[str]:
    """What fhirkit-rs says is wrong with the whole Bundle."""
    return [str(issue) for issue in fhirkit.validate(encode(bundle))]


def profile_problems(bundle: dict[str, Any]) -> list[str]:
    """What pyrofile-validator says is wrong with each entry, and the profiles that it names: errors only."""
    found = []
    text = encode(bundle).decode()
    for entry in bundle.get("entry", ()):
        name = entry["fullUrl"].removeprefix("urn:uuid:")
        text = text.replace(f'"reference":"{entry["fullUrl"]}"', f'"reference":"{entry["resource"]["resourceType"]}/{name}"')
    for number, entry in enumerate(json.loads(text).get("entry", ())):
        resource = entry["resource"]
        with contextlib.redirect_stdout(io.StringIO()):
            report = _validator().validate_resource(resource)
        found += [f"{number} {resource['resourceType']}: {issue.path}: {issue.message}" for issue in report.errors]
    return found


def problems(bundle: dict[str, Any]) -> list[str]:
    """What either says is wrong."""
    return structure_problems(bundle) + (profile_problems(bundle) if HERE else [])
