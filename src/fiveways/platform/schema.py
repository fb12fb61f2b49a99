"""The JSON Schema of the deployment file, with its defaults spelt as the file spells them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from fiveways.deployment.settings import format_duration, format_percent
from fiveways.platform.model import Deployment


class _Spelling(GenerateJsonSchema):
    def encode_default(self, dft: Any) -> Any:
        return format_duration(dft) if isinstance(dft, timedelta) else super().encode_default(dft)


def deployment_schema() -> dict[str, Any]:
    """The schema (JSON Schema 2020-12)."""
    schema = Deployment.model_json_schema(by_alias=True, schema_generator=_Spelling)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_as_written(schema)}


def _as_written(value: Any) -> Any:
    """Percentages as the file has them, whose pattern is known only now; and no `format` that says nothing."""
    if isinstance(value, list):
        return [_as_written(each) for each in value]
    if not isinstance(value, dict):
        return value
    made = {key: _as_written(each) for key, each in value.items() if (key, each) != ("format", "")}
    if isinstance(made.get("default"), float) and str(made.get("pattern", "")).endswith("%$"):
        made["default"] = format_percent(made["default"])
    return made
