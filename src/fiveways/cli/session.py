"""`fiveways session`: who is signed in, through which application; and an end to it."""

from __future__ import annotations

from typing import Annotated

import typer

from fiveways.cli.options import DEFAULT, DataFolder, DeploymentFile, NodeName, Reason, at
from fiveways.cli.printing import AsJson, console, print_found
from fiveways.clock import moment_of
from fiveways.errors import FivewaysError
from fiveways.platform.sessions import SessionDesk, session_desk
from fiveways.security.users.records import Session

commands = typer.Typer(help="People who are signed in: sessions on whose behalf applications act.", no_args_is_help=True)

Application = Annotated[str, typer.Option("--application", metavar="NAME", help="Only of this application.")]
Provider = Annotated[str, typer.Option("--provider", metavar="NAME", help="Only of people whom this provider vouches for.")]
Subject = Annotated[str, typer.Option("--subject", metavar="ID", help="Only of this person, as their provider calls them.")]


@commands.command("list")
def list_(
    deployment: DeploymentFile = DEFAULT,
    application: Application = "",
    provider: Provider = "",
    subject: Subject = "",
    as_json: AsJson = False,
    data: DataFolder = None,
    node: NodeName = "",
) -> None:
    """List the sessions that last, oldest first. Of each person no more is shown than what their provider calls them."""
    found = at(session_desk, deployment, data, node, lambda desk: desk.list(**_wanted(application, provider, subject)))
    print_found([_shown(session) for session in found], as_json, "nobody is signed in")


@commands.command("end")
def end(
    id: Annotated[str, typer.Argument(metavar="ID", help="The session's id.", show_default=False)],  # noqa: A002
    reason: Reason,
    deployment: DeploymentFile = DEFAULT,
    data: DataFolder = None,
    node: NodeName = "",
) -> None:
    """End a session: its tokens are refused within a second, and it cannot be renewed."""
    session = at(session_desk, deployment, data, node, lambda desk: desk.end(id, reason))
    console.print(f"ended: {session.id}, of {session.subject} in {session.application}", markup=False)


@commands.command("end-all")
def end_all(
    reason: Reason,
    deployment: DeploymentFile = DEFAULT,
    application: Application = "",
    provider: Provider = "",
    subject: Subject = "",
    data: DataFolder = None,
    node: NodeName = "",
) -> None:
    """End all sessions of a person, an application or a provider."""
    wanted = _wanted(application, provider, subject)
    if not wanted:
        raise FivewaysError("say whose: --application, --provider or --subject")

    async def all_of_them(desk: SessionDesk) -> int:
        return await desk.end_all(await desk.list(**wanted), reason)

    ended = at(session_desk, deployment, data, node, all_of_them)
    console.print(f"ended: {ended} session{'s' if ended != 1 else ''}")


def _wanted(application: str, provider: str, subject: str) -> dict[str, str]:
    given = {"application": application, "provider": provider, "subject": subject}
    return {name: value for name, value in given.items() if value}


def _shown(session: Session) -> dict[str, str | int]:
    return {
        "id": session.id,
        "application": session.application,
        "subject": session.subject,
        "provider": session.provider,
        "assurance": session.assurance,
        "access": session.access,
        "state": session.state,
        "started": _moment(session.started_at),
        "ends": _moment(session.ends_at),
        "refreshes": session.refreshes,
    }


def _moment(at: int) -> str:
    return f"{moment_of(at):%Y-%m-%dT%H:%M:%SZ}"
