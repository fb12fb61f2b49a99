"""`fiveways schema`."""

from __future__ import annotations

import json

import typer

from fiveways.platform.schema import deployment_schema


def command() -> None:
    """Print the JSON Schema of the deployment file, so that an editor completes and checks it.

    In the file: # yaml-language-server: $schema=deployment.schema.json
    """
    typer.echo(json.dumps(deployment_schema(), indent=2))
