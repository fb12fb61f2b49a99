"""`fiveways demo`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fiveways.cli.serve import run
from fiveways.demo.play import play
from fiveways.platform import logs


def command(
    story: Annotated[list[str] | None, typer.Option("--story", help="Play only this story (repeatable).")] = None,
    once: Annotated[
        bool,
        typer.Option(
            "--once",
            help="End after the stories; exit code 0 only if all went as expected. A story that needs what is not "
            "here (Node.js, a browser) is left out, which counts where it was asked for by name.",
        ),
    ] = False,
    folder: Annotated[
        Path | None, typer.Option("--folder", help="Keep the demo's deployment and data here. Default: a temporary folder.")
    ] = None,
) -> None:
    """Start the platform with a demo deployment and a small FHIR back end, and play stories against it over real sockets.

    Each step shows what was sent, what came back and why. Afterwards the platform stays up, with commands to try next.
    """
    logs.configure(level="error")
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory(prefix="fiveways-demo-") as temporary:
        good = run(play((folder or Path(temporary)).absolute(), story or [], once=once, console=console))
    if not good:
        raise typer.Exit(1)
