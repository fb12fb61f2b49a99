"""Plays stories, and then leaves the stage to whoever wants to try for themselves."""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
import shutil
import signal
import sys
from pathlib import Path

from rich.console import Console

from fiveways.demo import stories
from fiveways.demo.stage import Stage
from fiveways.errors import DeploymentError


def story_names() -> list[str]:
    """The stories there are."""
    return [module.name for module in pkgutil.iter_modules(stories.__path__)]


async def play(folder: Path, names: list[str], *, once: bool, console: Console) -> bool:
    """Play the stories named (all, if none); stay up afterwards unless `once`. Whether every step came out as expected."""
    known = story_names()
    unknown = [name for name in names if name not in known]
    if unknown:
        raise DeploymentError(f"no story {', '.join(unknown)}: there are {', '.join(known)}")
    async with Stage(folder, console) as stage:
        for name in names or known:
            await importlib.import_module(f"{stories.__name__}.{name}").play(stage)
        console.rule()
        if stage.failed:
            for failure in stage.failed:
                console.print(f"not as expected: {failure}", style="bold red", markup=False)
        else:
            console.print(f"{stage.steps} steps, each as expected.", style="bold green")
        if not once:
            await _stay(stage)
        return not stage.failed


def _command() -> str:
    """How this very program is called from anywhere."""
    return "fiveways" if shutil.which("fiveways") else str(Path(sys.argv[0]).absolute())


async def _stay(stage: Stage) -> None:
    token = (await stage.token("ward-system")).json["access_token"]
    patient = next(iter(stage.backend.patients))
    console, folder = stage.console, stage.folder
    fiveways = _command()
    console.print("\n[bold]The platform stays up. Try next, in another terminal:[/]\n")
    for line in (
        f"TOKEN={token}",
        f'curl -i {stage.url}/demographics/FHIR/R4/Patient/{patient} -H "Authorization: Bearer $TOKEN"',
        f"curl -i '{stage.url}/demographics/FHIR/R4/Patient?family=Khan' -H \"Authorization: Bearer $TOKEN\"",
        f"curl -i {stage.url}/hello-world/hello/world",
        f"curl -i {stage.url}/_ping",
        f"curl -s {stage.url}/metrics | grep gateway_request_duration_seconds_count",
        f"{fiveways} check {folder}",
        f"{fiveways} routes {folder}",
        f"{fiveways} audit verify {folder}",
        f"{fiveways} trace ID {folder}        # the x-correlation-id of any answer above",
    ):
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    console.print(f"\nThe deployment is {folder}/deployment.yaml. Ctrl-C ends the demo.")
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()
