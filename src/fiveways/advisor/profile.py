"""A profile: the answers that somebody gives, as arguments or in a file, made into a need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from fiveways.deployment.need import Need
from fiveways.errors import FivewaysError


class BadProfile(FivewaysError):
    """An answer is no answer to any question; the message says which ones there are."""


def of_arguments(arguments: Iterable[str]) -> dict[str, Any]:
    """Answers of the form key=value. Raises BadProfile."""
    said: dict[str, Any] = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals:
            raise BadProfile(f"{argument!r}: expected key=value, such as intent=update")
        said[key] = {"true": True, "yes": True, "false": False, "no": False}.get(value.lower(), value)
    return said


def of_file(file: Path) -> dict[str, Any]:
    """Answers of a YAML file, under `need:` or by themselves. Raises BadProfile."""
    try:
        said = yaml.safe_load(file.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise BadProfile(f"{file}: {error}") from None
    said = said.get("need", said) if isinstance(said, dict) else said
    if not isinstance(said, dict):
        raise BadProfile(f"{file}: expected answers, such as intent: update")
    return {str(key): value for key, value in said.items()}


def need(said: Mapping[str, Any], *, patience: timedelta = timedelta(seconds=3), availability: float = 0.999) -> Need:
    """Answers as a need. Figures are held against the programme's `patience` and `availability` (S12). Raises BadProfile."""
    for key in said:
        if key not in Need.model_fields:
            close = get_close_matches(key, Need.model_fields, 1)
            meant = f" (did you mean {close[0]}?)" if close else ""
            raise BadProfile(f"there is no question {key!r}{meant}; there are {', '.join(Need.model_fields)}")
    try:
        found = Need.model_validate(dict(said))
    except ValidationError as error:
        first = error.errors()[0]
        raise BadProfile(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    return measured(found, patience=patience, availability=availability)


def measured(found: Need, *, patience: timedelta, availability: float) -> Need:
    """A need whose figures answer what was not answered in words: whether the provider is slow, and available enough (S12)."""
    answers: dict[str, Any] = {}
    if found.said("slow") is None and found.expected_latency is not None:
        answers["slow"] = found.expected_latency > patience
    if found.said("provider_available") is None and found.availability is not None:
        answers["provider_available"] = found.availability >= availability
    return found.model_copy(update=answers)
