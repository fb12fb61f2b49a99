"""`fiveways mailbox list`, `show`, `add`, `change` and `remove`: mailboxes, from the side of whoever runs the platform."""

from __future__ import annotations

import getpass
import sys
from typing import Annotated, Any

import typer

from fiveways.cli.entries import administer, everything, one_line, print_entry
from fiveways.cli.options import DEFAULT, DataFolder, DeploymentFile, NodeName
from fiveways.cli.printing import AsJson, Shown, console, print_json, print_table
from fiveways.errors import FivewaysError
from fiveways.methods.messaging.administration import new_password

Id = Annotated[str, typer.Argument(metavar="MAILBOX", help="The mailbox's id.")]
Name = Annotated[str | None, typer.Option("--name", help="What people call it.")]
OrganisationName = Annotated[
    str | None, typer.Option("--organisation-name", help="What its organisation is called, where the file does not have it.")
]
Active = Annotated[bool | None, typer.Option("--active/--inactive", help="Whether it may be used at all.")]
Certificate = Annotated[
    list[str] | None,
    typer.Option(
        "--certificate",
        metavar="KIND=VALUE",
        help="A client certificate that it demands: subject=…, dns=…, uri=… or sha256=… (repeatable; any one will do).",
    ),
]
Deduplicate = Annotated[
    str | None,
    typer.Option(
        "--deduplicate", metavar="TIME", help="For how long what it sends again under the same local id is answered as sent: 2d."
    ),
]
CollectsEvery = Annotated[
    str | None, typer.Option("--collects-every", metavar="TIME", help="How often its receiver looks for messages, as agreed: 5m.")
]
TakesRate = Annotated[
    str | None, typer.Option("--takes-rate", metavar="N/TIME", help="How many messages its receiver takes in a time: 30/min.")
]
TakesAtOnce = Annotated[
    int | None, typer.Option("--takes-at-once", metavar="N", help="How many messages its receiver is shown before it acknowledges.")
]
Generate = Annotated[bool, typer.Option("--generate", help="Make a new password and show it, once.")]


def add_to(commands: typer.Typer) -> None:
    """Have these among the commands of `fiveways mailbox`."""
    for name, command in (("list", list_), ("show", show), ("add", add), ("change", change), ("remove", remove)):
        commands.command(name)(command)


def list_(
    deployment: DeploymentFile = DEFAULT,
    organisation: Annotated[str, typer.Option("--organisation", metavar="ODS", help="Only this organisation's.")] = "",
    as_json: AsJson = False,
    data: DataFolder = None,
    node: NodeName = "",
) -> None:
    """List the mailboxes, those of the deployment file and those registered since."""
    found = administer(deployment, data, node, lambda administration, _: everything(administration, "mailbox", organisation))
    if as_json:
        print_json(found)
        return
    rows = [(each["id"], each["organisation"], each["name"] or "-", _standing(each), each["declared_in"]) for each in found]
    print_table(("mailbox", "organisation", "name", "standing", "declared in"), rows)


def show(
    mailbox: Id, deployment: DeploymentFile = DEFAULT, as_json: AsJson = False, data: DataFolder = None, node: NodeName = ""
) -> None:
    """Show what is known of a mailbox; never its password."""
    _print(administer(deployment, data, node, lambda administration, _: administration.show("mailbox", mailbox)), as_json)


def add(
    mailbox: Id,
    organisation: Annotated[str, typer.Option("--organisation", metavar="ODS", help="The organisation whose mailbox it is.")],
    deployment: DeploymentFile = DEFAULT,
    name: Name = None,
    organisation_name: OrganisationName = None,
    active: Active = None,
    certificate: Certificate = None,
    deduplicate: Deduplicate = None,
    collects_every: CollectsEvery = None,
    takes_rate: TakesRate = None,
    takes_at_once: TakesAtOnce = None,
    generate: Generate = False,
    as_json: AsJson = False,
    data: DataFolder = None,
    node: NodeName = "",
) -> None:
    """Register a mailbox. Running processes know it within a second, and restarts change nothing.

    Its password is read from standard input, or asked for; never from the command line, where the shell's history and the list of
    processes would keep it. With --generate one is made, and shown this once.
    """
    password = new_password() if generate else _password(mailbox)
    said = _said(
        organisation=organisation, name=name, organisation_name=organisation_name, active=active, password=password,
        certificates=_pairs(certificate), deduplicate=deduplicate, collects_every=collects_every,
        takes=_said(rate=takes_rate, at_once=takes_at_once) or None,
    )  # fmt: skip
    shown = administer(deployment, data, node, lambda administration, by: administration.add("mailbox", mailbox, said, by))
    _print(shown, as_json, password if generate else None)


def change(
    mailbox: Id,
    deployment: DeploymentFile = DEFAULT,
    organisation: Annotated[str | None, typer.Option("--organisation", metavar="ODS", help="Whose mailbox it is.")] = None,
    name: Name = None,
    organisation_name: OrganisationName = None,
    active: Active = None,
    certificate: Certificate = None,
    deduplicate: Deduplicate = None,
    collects_every: CollectsEvery = None,
    takes_rate: TakesRate = None,
    takes_at_once: TakesAtOnce = None,
    no_certificates: Annotated[bool, typer.Option("--no-certificates", help="It demands no client certificate any more.")] = False,
    password: Annotated[bool, typer.Option("--password", help="Read a new password from standard input, or ask for it.")] = False,
    generate: Generate = False,
    as_json: AsJson = False,
    data: DataFolder = None,
    node: NodeName = "",
) -> None:
    """Change what is said of a registered mailbox, and leave the rest as it is.

    Made inactive, it can neither be used nor sent to; what waits in it stays there, and whoever sent it is told when it expires.
    """
    new = new_password() if generate else _password(mailbox) if password else None
    said = _said(
        organisation=organisation, name=name, organisation_name=organisation_name, active=active, password=new,
        certificates=[] if no_certificates else _pairs(certificate), deduplicate=deduplicate, collects_every=collects_every,
        takes=_said(rate=takes_rate, at_once=takes_at_once) or None,
    )  # fmt: skip
    if not said:
        raise FivewaysError("nothing to change: say what, such as --name or --inactive")
    shown = administer(deployment, data, node, lambda administration, by: administration.change("mailbox", mailbox, said, by))
    _print(shown, as_json, new if generate else None)


def remove(mailbox: Id, deployment: DeploymentFile = DEFAULT, data: DataFolder = None, node: NodeName = "") -> None:
    """Remove a registered mailbox. What waits in it expires as in one that is inactive."""
    administer(deployment, data, node, lambda administration, by: administration.remove("mailbox", mailbox, by))
    console.print(f"removed: {mailbox}", markup=False)


def _said(**said: Any) -> dict[str, Any]:
    """What was said, of all that may be."""
    return {name: value for name, value in said.items() if value is not None}


def _pairs(certificates: list[str] | None) -> list[dict[str, str]] | None:
    return [dict([_pair(each)]) for each in certificates] if certificates is not None else None


def _pair(certificate: str) -> tuple[str, str]:
    kind, _, value = certificate.partition("=")
    if kind not in ("subject", "dns", "uri", "sha256") or not value:
        raise FivewaysError("--certificate: expected subject=…, dns=…, uri=… or sha256=…")
    return kind, value


def _password(mailbox: str) -> str:
    """The new password of a mailbox: typed twice, unseen, or the first line of what standard input holds."""
    if not sys.stdin.isatty():
        password = sys.stdin.readline().rstrip("\r\n")
        if not password:
            raise FivewaysError("no password on standard input (--generate makes one)")
        return password
    password = getpass.getpass(f"new password of {mailbox}: ")
    if password != getpass.getpass("again: "):
        raise FivewaysError("these are two different passwords")
    return password


def _standing(each: Shown) -> str:
    if not each["active"]:
        return "inactive"
    certificates = f"active; {' or '.join(map(one_line, each['certificates']))}" if each["certificates"] else "active"
    return f"{certificates}; needs a new password" if each.get("needs_password") else certificates


def _print(shown: Shown, as_json: bool, password: str | None = None) -> None:
    if as_json:
        print_json({**shown, "password": password} if password is not None else shown)
        return
    print_entry(shown)
    if password is not None:
        console.print(f"password (give it to the mailbox's owner, it is not shown again):  {password}", markup=False)
