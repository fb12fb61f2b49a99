"""`fiveways channel`: channels of real time, what was said in them, and who is there."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from fiveways.cli.options import DEFAULT, DataFolder, DeploymentFile, NodeName, at
from fiveways.cli.printing import AsJson, console, moment, print_found, print_json
from fiveways.methods.realtime import transcript as transcripts
from fiveways.platform.channeldesk import channel_desk

commands = typer.Typer(help="Channels of real time: what was said in them, and who is there.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="CHANNEL", help="The channel's name: ward:7:board.", show_default=False)]


class Form(StrEnum):
    """How a transcript is written."""

    TEXT = "text"
    JSON = "json"
    FHIR = "fhir"


@commands.command("list")
def list_(
    deployment: DeploymentFile = DEFAULT,
    kind: Annotated[str, typer.Option("--kind", metavar="NAME", help="Only of this kind, as channels: calls it.")] = "",
    most: Annotated[int, typer.Option("--most", min=1, max=10_000, help="How many at most, by name.")] = 100,
    as_json: AsJson = False,
    data: DataFolder = None,
    node: NodeName = "",
) -> None:
    """List the channels of which something is kept."""
    found = at(channel_desk, deployment, data, node, lambda desk: desk.list(kind, most))
    shown = [
        {"channel": row[0], "kind": row[1], "messages": row[2], "newest": moment(row[3]), "closed": "yes" if row[4] else ""}
        for row in found
    ]
    print_found(shown, as_json, "no channels")


@commands.command("transcript")
def transcript(
    name: Name,
    deployment: DeploymentFile = DEFAULT,
    form: Annotated[Form, typer.Option("--as", help="Text for people, JSON, or a FHIR Bundle of Communications.")] = Form.TEXT,
    out: Annotated[str, typer.Option("--out", metavar="FILE", help="Write it there, and not to standard output.")] = "",
    data: DataFolder = None,
    node: NodeName = "",
) -> None:
    """Write out what was said in a channel: every wording, who has read it, what was retracted. The audit says that you did."""
    position, messages, members = at(channel_desk, deployment, data, node, lambda desk: desk.transcript(name))
    if form is Form.TEXT:
        written = transcripts.text(messages)
    elif form is Form.FHIR:
        written = msgspec.json.format(msgspec.json.encode(transcripts.bundle(messages, members))).decode() + "\n"
    else:
        told = {"channel": name, "epoch": position.epoch, "offset": position.top, "participants": members}
        entries = {"entries": transcripts.entries(messages)}
        written = msgspec.json.format(msgspec.json.encode(told | entries)).decode() + "\n"
    if out:
        Path(out).write_text(written)
        console.print(f"wrote {out}: {len(messages)} entries", markup=False)
    else:
        typer.echo(written, nl=False)


@commands.command("present")
def present(
    name: Name,
    deployment: DeploymentFile = DEFAULT,
    as_json: AsJson = False,
    data: DataFolder = None,
    node: NodeName = "",
) -> None:
    """Say who is in a channel now, through all nodes."""
    found = at(channel_desk, deployment, data, node, lambda desk: desk.present(name))
    print_found([{"participant": each.member, "client": each.client} for each in found], as_json, "nobody is there")


@commands.command("publish")
def publish(
    name: Name,
    message: Annotated[str, typer.Argument(metavar="JSON", help="""The message: '{"bed-1": "free"}'.""", show_default=False)],
    deployment: DeploymentFile = DEFAULT,
    once: Annotated[str, typer.Option("--id", metavar="ID", help="Published once, however often it is said with this id.")] = "",
    data: DataFolder = None,
    node: NodeName = "",
) -> None:
    """Publish a message, as the operator: for news to everybody, and to try a board out."""
    done = at(channel_desk, deployment, data, node, lambda desk: desk.publish(name, message, once))
    print_json({"offset": done.number, "epoch": done.epoch, "again": done.again})
