"""`fiveways serve`."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop
from rich.console import Console

from fiveways.cli.options import DataFolder, DeploymentFile, NodeName, data_folder, deployment_file
from fiveways.errors import DeploymentError
from fiveways.platform import logs
from fiveways.platform.listeners import Listener, must_be_free
from fiveways.platform.model import load
from fiveways.platform.node_metrics import Slot, run_folder
from fiveways.platform.serve import ROLES, PidFile, serve, serves
from fiveways.platform.supervisor import Supervisor, arguments

console = Console(highlight=False, soft_wrap=True)


def command(
    deployment: DeploymentFile = Path("deployment.yaml"),
    http: Annotated[
        str | None, typer.Option("--http", metavar="HOST:PORT", help="Listen here, not where the deployment says (port 0: any).")
    ] = None,
    data: DataFolder = None,
    role: Annotated[list[str] | None, typer.Option("--role", help=f"Only this role (repeatable): {', '.join(ROLES)}.")] = None,
    processes: Annotated[bool, typer.Option("--processes", help="One process per role, supervised.")] = False,
    gateways: Annotated[int, typer.Option("--gateways", min=1, max=64, help="Gateway processes, with --processes.")] = 1,
    node: NodeName = "",
    log_level: Annotated[str, typer.Option("--log-level", help="debug, info, warning or error.")] = "info",
    child: Annotated[int | None, typer.Option("--child", hidden=True)] = None,
    slot: Annotated[str | None, typer.Option("--slot", hidden=True)] = None,
) -> None:
    """Run the platform: every role in this process, until SIGTERM or Ctrl-C. SIGHUP reloads the deployment.

    It says when it is ready and where. It listens on loopback unless the deployment says otherwise.
    """
    logs.configure(level=log_level)
    file = deployment_file(deployment)
    folder = data_folder(data, file)
    roles = tuple(role or ROLES)
    unknown = set(roles) - set(ROLES)
    if unknown:
        raise DeploymentError(f"no role {', '.join(sorted(unknown))}: expected {', '.join(ROLES)}")
    listeners = {"main": listener_at(http)} if http is not None else None
    if child is not None:
        place = Slot.parse(slot, folder) if slot is not None else None
        ready = partial(_tell_parent, child)
        run(serve(file, folder, listeners=listeners, roles=roles, shared=True, node=node, slot=place, ready=ready))
        return
    with PidFile(folder) as pids:
        if processes:
            declared, _ = load(file)
            where = listeners or declared.listeners
            bulk, live = ([role] * any(serves(role, each) for each in where.values()) for role in ("bulk", "realtime"))
            children = ["gateway"] * gateways + bulk + ["worker"] + live
            fixed = where["main"].http if http is not None else None
            for listener in where.values():
                try:
                    must_be_free(*listener.address)
                except OSError as error:
                    raise DeploymentError(f"cannot listen on {listener.url}: something listens there already") from error
            with run_folder(folder) as shared:
                supervisor = Supervisor(arguments(file, folder, fixed, node), children, shared, lambda: _ready(where), pids.write)
                raise typer.Exit(run(supervisor.run()))
        run(serve(file, folder, listeners=listeners, roles=roles, node=node, ready=_ready))


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run `work` on uvloop."""
    return asyncio.Runner(loop_factory=uvloop.new_event_loop).run(work)


def listener_at(http: str) -> Listener:
    """The listener at HOST:PORT; port 0 becomes a free one. DeploymentError for anything else."""
    host, _, port = http.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise DeploymentError(f"--http: found {http!r}, expected HOST:PORT such as 127.0.0.1:8080")
    if port == "0":
        with socket.create_server((host.strip("[]"), 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            port = str(probe.getsockname()[1])
    return Listener(http=f"{host}:{port}")


def _ready(listeners: Mapping[str, Listener]) -> None:
    for name, listener in listeners.items():
        console.print(f"ready: {listener.url}  ({name})")


def _tell_parent(descriptor: int, _: Mapping[str, Listener]) -> None:
    os.write(descriptor, b"1")
    os.close(descriptor)
