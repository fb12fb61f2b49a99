"""Plays stories, and then leaves the stage to whoever wants to try for themselves."""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
import signal
from pathlib import Path

from rich.console import Console

from fiveways.demo import stories
from fiveways.demo.stage import LeftOut, Stage
from fiveways.errors import DeploymentError

_EXTRAS = {"mesh_client": "client", "asyncssh": "bulk", "polars": "bulk"}
"""Packages that a story may need, and the extra of ours that brings each."""


_IN_ORDER = ("gateway", "messaging", "facades", "people", "transformation", "exchange", "bulk", "realtime")


def story_names() -> list[str]:
    """The stories there are, in the order in which they are told; one that is not placed comes last."""
    found = [module.name for module in pkgutil.iter_modules(stories.__path__)]
    return sorted(found, key=lambda name: (_IN_ORDER.index(name) if name in _IN_ORDER else len(_IN_ORDER), name))


async def play(folder: Path, names: list[str], *, once: bool, console: Console) -> bool:
    """Play the stories named (all, if none); stay up afterwards unless `once`. Whether every step came out as expected.

    A story that cannot be played here is left out, and the run says so. It has not come out as expected then, unless it takes what
    Fiveways does not bring along, and nobody asked for it by name.
    """
    known = story_names()
    unknown = [name for name in names if name not in known]
    if unknown:
        raise DeploymentError(f"no story {', '.join(unknown)}: there are {', '.join(known)}")
    async with Stage(folder, console) as stage:
        for name in names or known:
            await _play_one(stage, name)
        console.rule()
        if stage.failed:
            for failure in stage.failed:
                console.print(f"not as expected: {failure}", style="bold red", markup=False)
        elif stage.steps:
            console.print(f"{stage.steps} steps, each as expected.", style="bold green")
        for name, why in stage.left_out.items():
            console.print(f"left out: {name}: {why}", style="bold yellow", soft_wrap=True, markup=False)
        if not once:
            await _stay(stage)
        return not stage.failed and all(why.outside and name not in names for name, why in stage.left_out.items())


async def _play_one(stage: Stage, name: str) -> None:
    try:
        await importlib.import_module(f"{stories.__name__}.{name}").play(stage)
    except ModuleNotFoundError as missing:
        if missing.name not in _EXTRAS:
            raise
        stage.leave_out(name, LeftOut(f"it needs {missing.name}: pip install 'fiveways[{_EXTRAS[missing.name]}]'"))
    except LeftOut as why:
        stage.leave_out(name, why)
    except Exception as error:  # the other stories can be played all the same
        stage.console.print_exception()
        stage.failed.append(f"{name} broke off: {type(error).__name__}: {error}")


async def _stay(stage: Stage) -> None:
    token = (await stage.token("ward-system")).json["access_token"]
    patient = next(iter(stage.backend.patients))
    console, folder = stage.console, stage.folder
    console.print("\n[bold]The platform stays up. Try next, in another terminal:[/]\n")
    for line in (
        "# good for ten minutes:",
        f"TOKEN={token}",
        f'curl -i {stage.url}/demographics/FHIR/R4/Patient/{patient} -H "Authorization: Bearer $TOKEN"',
        f"curl -i '{stage.url}/demographics/FHIR/R4/Patient?family=Khan' -H \"Authorization: Bearer $TOKEN\"",
        f"curl -i {stage.url}/hello-world/hello/world",
        f"curl -i {stage.url}/_ping",
        f"curl -s {stage.url}/metrics | grep gateway_request_duration_seconds_count",
        f"{stage.command} check {folder}",
        f"{stage.command} routes {folder}",
        f"{stage.command} audit verify {folder}",
        *stage.next,
    ):
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    console.print(f"\nThe deployment is {folder}/deployment.yaml. Ctrl-C ends the demo.")
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()
