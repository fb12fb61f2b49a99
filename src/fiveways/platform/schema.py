"""The JSON Schema of the deployment file, with its defaults spelt as the file spells them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from fiveways.deployment.settings import format_duration, format_percent
from fiveways.platform.model import Deployment


class _Spelling(GenerateJsonSchema):
    def encode_default(self, dft: Any) -> Any:
        return format_duration(dft) if isinstance(dft, timedelta) else super().encode_default(dft)

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        made = super().default_schema(schema)
        default = made.get("default")
        if isinstance(default, float) and str(made.get("pattern", "")).endswith("%$"):
            made["default"] = format_percent(default)
        return made


def deployment_schema() -> dict[str, Any]:
    """The schema (JSON Schema 2020-12)."""
    schema = Deployment.model_json_schema(by_alias=True, schema_generator=_Spelling)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_without_empty_formats(schema)}


def _without_empty_formats(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_empty_formats(each) for key, each in value.items() if (key, each) != ("format", "")}
    return [_without_empty_formats(each) for each in value] if isinstance(value, list) else value
