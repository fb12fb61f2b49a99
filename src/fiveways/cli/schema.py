"""`fiveways schema`."""

from __future__ import annotations

import json

import typer

from fiveways.platform.model import Deployment


def command() -> None:
    """Print the JSON Schema of the deployment file, so that an editor completes and checks it.

    In the file: # yaml-language-server: $schema=deployment.schema.json
    """
    schema = Deployment.model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    typer.echo(json.dumps(schema, indent=2))
