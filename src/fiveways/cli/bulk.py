"""`fiveways bulk`: transfers, receipts, what was set aside of them, and errands to partners' own servers."""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from fiveways.cli.options import DEFAULT, DataFolder, DeploymentFile, NodeName, Reason, at
from fiveways.cli.printing import AsJson, console, moment, print_found, print_json, print_life, print_table
from fiveways.deployment import document
from fiveways.errors import FivewaysError
from fiveways.methods.bulk.settings import PartnerSettings
from fiveways.methods.bulk.sftp import passwords
from fiveways.methods.bulk.states import State

if TYPE_CHECKING:
    from fiveways.platform.transferdesk import TransferDesk

commands = typer.Typer(help="Bulk transfer: what has come, its receipts and reports, and what was set aside.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="ID", help="The transfer's id.", show_default=False)]
Aside = Literal["open", "mended", "released", "dropped"]
Form = Literal["html", "json", "operation-outcome"]
_Found = TypeVar("_Found")


@commands.command("list")
def list_(
    deployment: DeploymentFile = DEFAULT,
    feed: Annotated[str, typer.Option("--feed", metavar="NAME", help="Only of this feed.")] = "",
    state: Annotated[State | None, typer.Option("--state", help="Only in this state.")] = None,
    most: Annotated[int, typer.Option("--most", min=1, max=10_000, help="How many at most, newest first.")] = 100,
    as_json: AsJson = False,
    data: DataFolder = None,
    node: NodeName = "",
) -> None:
    """List transfers, newest first."""
    found = _at(deployment, data, node, lambda desk: desk.list(feed, state or "", most))
    shown = [
        {
            "id": row.id, "feed": row.feed, "partner": row.partner, "name": row.name, "state": row.state,
            "since": moment(row.since), "size": row.size, "records": row.records, "accepted": row.accepted,
            "set_aside": row.set_aside, "correlation": row.correlation, "reasons": _reasons(row.reasons),
        }
        for row in found
    ]  # fmt: skip
    columns = ("id", "feed", "name", "state", "since", "size", "records", "set_aside")
    print_found(shown, as_json, "no transfers", columns)


@commands.command("show")
def show(
    id: Id,  # noqa: A002
    deployment: DeploymentFile = DEFAULT,
    as_json: AsJson = False,
    data: DataFolder = None,
    node: NodeName = "",
) -> None:
    """Show a transfer, why it was judged as it was, and everything that happened to it."""
    transfer, events = _at(deployment, data, node, lambda desk: desk.show(id))
    said = {
        "id": transfer.id, "feed": transfer.feed, "partner": transfer.partner, "name": transfer.name,
        "correlation": transfer.correlation, "state": transfer.state.value, "size": transfer.size, "sequence": transfer.sequence,
        "records": transfer.records, "accepted": transfer.accepted, "set_aside": transfer.set_aside, "reasons": transfer.reasons,
    }  # fmt: skip
    print_life(said, events, as_json)


@commands.command("receipt")
def receipt(
    id: Id,  # noqa: A002
    deployment: DeploymentFile = DEFAULT,
    jws: Annotated[bool, typer.Option("--jws", help="The signed receipt itself (RFC 7515), to be kept.")] = False,
    data: DataFolder = None,
    node: NodeName = "",
) -> None:
    """Print a transfer's receipt: that it came encrypted, unchanged, complete and audited, and what that rests on."""
    signed = _at(deployment, data, node, lambda desk: desk.receipt(id))
    if jws:
        console.print(signed, markup=False)
        return
    from joserfc.jws import extract_compact  # noqa: PLC0415, RUF100

    console.print(json.dumps(json.loads(extract_compact(signed.encode()).payload), indent=2, ensure_ascii=False), markup=False)


@commands.command("report")
def report(
    id: Id,  # noqa: A002
    deployment: DeploymentFile = DEFAULT,
    form: Annotated[Form, typer.Option("--as", help="A page to look at, JSON, or a FHIR OperationOutcome.")] = "html",
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write it there. Default: standard output.")] = None,
    data: DataFolder = None,
    node: NodeName = "",
) -> None:
    """Print what quality control found of a transfer, beside the feed's last deliveries. Values are shown as the feed allows."""

    async def work(desk: TransferDesk) -> bytes:
        return await desk.reporting.report(await desk.found(id), form)

    made = _at(deployment, data, node, work)
    if out is None:
        sys.stdout.buffer.write(made + b"\n")
    else:
        out.write_bytes(made)
        console.print(f"written: {out}", markup=False)


@commands.command("rewrap")
def rewrap(deployment: DeploymentFile = DEFAULT, data: DataFolder = None, node: NodeName = "") -> None:
    """Wrap the keys of encrypted files with the key that bulk.at_rest names now, so that former ones can go."""
    console.print(f"{_at(deployment, data, node, lambda desk: desk.rewrap())} keys wrapped anew")


@commands.command("password")
def password() -> None:
    """Ask for a partner's password, and print the hash that the deployment file takes (access: {password: …})."""
    console.print(passwords.hashed(typer.prompt("password", hide_input=True, confirmation_prompt=True)), markup=False)


# --- what was set aside -----------------------------------------------------------------------------------------------------

quarantine = typer.Typer(help="Records that were set aside: look at them, mend them, send them again.", no_args_is_help=True)
commands.add_typer(quarantine, name="quarantine")
Record = Annotated[int, typer.Argument(metavar="RECORD", help="The record's number in its file.", show_default=False)]


@quarantine.command("list")
def list_aside(
    id: Id,  # noqa: A002
    deployment: DeploymentFile = DEFAULT,
    state: Annotated[Aside | None, typer.Option("--state", help="Only in this state.")] = None,
    after: Annotated[int, typer.Option("--after", metavar="RECORD", min=0, help="Only those after this one.")] = 0,
    most: Annotated[int, typer.Option("--most", min=1, max=10_000, help="How many at most.")] = 100,
    as_json: AsJson = False,
    data: DataFolder = None,
    node: NodeName = "",
) -> None:
    """List records that were set aside, and every rule that each of them broke; values as the feed allows."""

    async def work(desk: TransferDesk) -> list[Any]:
        return await desk.quarantine.aside(await desk.found(id), state or "", after, most)

    found = _at(deployment, data, node, work)
    if as_json:
        print_json([msgspec.to_builtins(each) for each in found])
        return
    rows = [
        [str(each.record), str(each.line or "-"), each.state, "; ".join(_said(breach) for breach in each.breaches)]
        for each in found
    ]
    if rows:
        print_table(["record", "line", "state", "what is wrong"], rows)
    else:
        console.print("nothing is set aside")


@quarantine.command("show")
def show_aside(
    id: Id,  # noqa: A002
    record: Record,
    deployment: DeploymentFile = DEFAULT,
    data: DataFolder = None,
    node: NodeName = "",
) -> None:
    """Print a record as it came, or as it was mended. It is patients' data: mind who looks over your shoulder."""

    async def work(desk: TransferDesk) -> bytes:
        return await desk.quarantine.raw(await desk.found(id), record)

    sys.stdout.buffer.write(_at(deployment, data, node, work))


@quarantine.command("mend")
def mend(
    id: Id,  # noqa: A002
    record: Record,
    reason: Reason,
    deployment: DeploymentFile = DEFAULT,
    change: Annotated[
        list[str] | None, typer.Option("--set", metavar="COLUMN=VALUE", help="Give a column this value (repeatable).")
    ] = None,
    raw: Annotated[
        str, typer.Option("--raw", metavar="FILE", help="The whole record instead: a file, or - for standard input.")
    ] = "",
    data: DataFolder = None,
    node: NodeName = "",
) -> None:
    """Mend a record; it is released when it is sent again (`resubmit`)."""
    changes = dict(each.partition("=")[::2] for each in change or ())
    content = None if not raw else sys.stdin.buffer.read() if raw == "-" else Path(raw).read_bytes()
    if not changes and content is None:
        raise FivewaysError("expected --set COLUMN=VALUE or --raw FILE")

    async def work(desk: TransferDesk) -> None:
        transfer = await desk.found(id)
        await desk.quarantine.mend(transfer, desk.agreement(transfer.feed), record, changes, content, reason)

    _at(deployment, data, node, work)
    console.print(f"mended: record {record}; send it again with `fiveways bulk quarantine resubmit {id}`", markup=False)


@quarantine.command("drop")
def drop(
    id: Id,  # noqa: A002
    record: Record,
    reason: Reason,
    deployment: DeploymentFile = DEFAULT,
    data: DataFolder = None,
    node: NodeName = "",
) -> None:
    """Give a record up: it is not going to be released."""

    async def work(desk: TransferDesk) -> None:
        await desk.quarantine.drop(await desk.found(id), record, reason)

    _at(deployment, data, node, work)
    console.print(f"dropped: record {record}", markup=False)


@quarantine.command("resubmit")
def resubmit(
    id: Id,  # noqa: A002
    reason: Reason,
    deployment: DeploymentFile = DEFAULT,
    data: DataFolder = None,
    node: NodeName = "",
) -> None:
    """Check all mended records of a transfer again, and release those that are good now."""

    async def work(desk: TransferDesk) -> Any:
        transfer = await desk.found(id)
        return await desk.quarantine.resubmit(transfer, desk.agreement(transfer.feed), reason)

    done = _at(deployment, data, node, work)
    console.print(f"released: {done.released}; still set aside: {done.left}", markup=False)
    for record, breaches in done.refused.items():
        console.print(f"record {record}: {'; '.join(_said(breach) for breach in breaches)}", markup=False)
    if done.refused:
        raise typer.Exit(1)


def _said(breach: Any) -> str:
    parts = [breach.rule, breach.column or "", breach.value or "", breach.note]
    return " ".join(part for part in parts if part)


# --- partners ---------------------------------------------------------------------------------------------------------------

partner = typer.Typer(
    help="Partners registered while the platform runs, beside those of the deployment file.", no_args_is_help=True
)
commands.add_typer(partner, name="partner")
Partner = Annotated[str, typer.Argument(metavar="NAME", help="The partner's name, which is its account's.", show_default=False)]


@partner.command("list")
def list_partners(
    deployment: DeploymentFile = DEFAULT, as_json: AsJson = False, data: DataFolder = None, node: NodeName = ""
) -> None:
    """List partners, and where they are said."""
    found = _at(deployment, data, node, lambda desk: desk.partners())
    print_found([{"name": name, "from": said} for name, said in sorted(found.items())], as_json, "no partners")


@partner.command("add")
def add_partner(
    name: Partner,
    settings: Annotated[
        Path, typer.Argument(metavar="FILE", help="What `partners:` would say of it, in YAML.", show_default=False)
    ],
    deployment: DeploymentFile = DEFAULT,
    data: DataFolder = None,
    node: NodeName = "",
) -> None:
    """Register a partner, or change one that is registered; it can come in within a second."""
    said = document.validate(document.read(settings), PartnerSettings)
    _at(deployment, data, node, lambda desk: desk.register(name, said))
    console.print(f"registered: {name}", markup=False)


@partner.command("remove")
def remove_partner(name: Partner, deployment: DeploymentFile = DEFAULT, data: DataFolder = None, node: NodeName = "") -> None:
    """Remove a partner that is registered: its sessions end within a second. Its files stay until they are old."""
    _at(deployment, data, node, lambda desk: desk.register(name, None))
    console.print(f"removed: {name}", markup=False)


# --- errands ----------------------------------------------------------------------------------------------------------------

Errand = Annotated[str, typer.Argument(metavar="ERRAND", help="The errand's name.", show_default=False)]


def _run(name: str, deployment: Path, data: Path | None, node: str, kind: str) -> None:
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, Any] = {}

        def progress(moment: Any) -> None:
            if moment.file not in tasks:
                tasks[moment.file] = bars.add_task(moment.file, total=moment.of)
            bars.update(tasks[moment.file], completed=moment.done, total=moment.of)

        async def work(desk: TransferDesk) -> Any:
            settings = desk.errands.errands.get(name)
            if settings is None or settings.do != kind:
                raise FivewaysError(f"there is no errand {name} that is a {kind}: see errands: of the deployment file")
            return await desk.run(name, progress)

        report = _at(deployment, data, node, work)
    console.print(report.say(), markup=False)
    for problem in (*report.refusals, *report.failures):
        console.print(f"{problem.path}: {problem.reason}", markup=False)
    if report.refusals or report.failures:
        raise typer.Exit(1)


@commands.command("push")
def push(name: Errand, deployment: DeploymentFile = DEFAULT, data: DataFolder = None, node: NodeName = "") -> None:
    """Bring files to a partner's server now, as an errand of the deployment says; none twice."""
    _run(name, deployment, data, node, "push")


@commands.command("pull")
def pull(name: Errand, deployment: DeploymentFile = DEFAULT, data: DataFolder = None, node: NodeName = "") -> None:
    """Fetch files from a partner's server now, as an errand of the deployment says; none twice."""
    _run(name, deployment, data, node, "pull")


def _at(deployment: Path, data: Path | None, node: str, work: Callable[[TransferDesk], Awaitable[_Found]]) -> _Found:
    from fiveways.platform.transferdesk import transfer_desk  # noqa: PLC0415, RUF100 - what it takes is an extra

    return at(transfer_desk, deployment, data, node, work)


def _reasons(kept: bytes | None) -> list[str]:
    return msgspec.msgpack.decode(kept, type=list[str]) if kept else []
