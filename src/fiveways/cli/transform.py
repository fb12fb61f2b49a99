"""`fiveways transform`."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup

from fiveways.cli.options import DataFolder, DeploymentFile, data_folder, deployment_file
from fiveways.cli.printing import AsJson, print_json, print_table
from fiveways.correlation import new_id
from fiveways.errors import Fault, FivewaysError
from fiveways.methods.synchronous.transformation import golden, transformers
from fiveways.methods.synchronous.transformation.counts import Row
from fiveways.methods.synchronous.transformation.transformer import Asked, Coverage, Place, Transformer
from fiveways.platform.inspect import transformed
from fiveways.platform.model import load

console = Console(highlight=False)
_SHOW = "show"


class _ShowsFiles(TyperGroup):
    """What is no command is a file to be shown."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = [_SHOW, *args]
        return super().resolve_command(ctx, args)


commands = typer.Typer(
    cls=_ShowsFiles,
    help="Transformations: what a message becomes (`fiveways transform FILE`), golden files, what is not mapped.",
    no_args_is_help=True,
)
By = Annotated[
    str, typer.Option("--by", metavar="NAME", help="The transformer, where no API is named: hl7v2-to-fhir, module:Class.")
]
Api = Annotated[str, typer.Option("--api", metavar="NAME", help="As this API of the deployment file transforms.")]
Option = Annotated[
    list[str] | None,
    typer.Option("--option", metavar="NAME=VALUE", help="An option of the transformer (repeatable): zone=Europe/London."),
]
Deployment = Annotated[Path, typer.Option("--deployment", metavar="FILE", help="The deployment file, for --api.")]


@commands.command(_SHOW)
def show(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A message, several, or a batch; - for standard input.")],
    by: By = "hl7v2-to-fhir",
    api: Api = "",
    option: Option = None,
    deployment: Deployment = Path("deployment.yaml"),
    as_json: AsJson = False,
) -> None:
    """Show what a message becomes, beside it, and what became of each of its fields. `fiveways transform FILE` does the same.

    Fields that nothing maps are listed, and so are those that could not be said, with why: nothing is lost without being told of.
    """
    transformer = _transformer(by, api, option or [], deployment)
    content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    for message in _messages(content):
        try:
            said = transformer.ask(Asked("POST", "", {}, _type(message), message, id=new_id()))
        except Fault as fault:
            raise FivewaysError(f"{fault.display}: {fault.diagnostics}") from None
        assert isinstance(said, Asked)
        if as_json:
            coverage = _counted(said.coverage or Coverage())
            typer.echo(_formatted(msgspec.json.encode({"asked": _readable(said.content), "coverage": coverage})))
        else:
            _show(message, said)


@commands.command("test")
def compare(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the golden files are.")] = Path("golden"),
    by: By = "hl7v2-to-fhir",
    api: Api = "",
    option: Option = None,
    deployment: Deployment = Path("deployment.yaml"),
    write: Annotated[
        bool, typer.Option("--write", help="Write what is made now over the files that differ, and those missing.")
    ] = False,
) -> None:
    """Compare what a transformer makes of requests and answers with golden files: NAME.request.EXT is to become NAME.asked.EXT, and
    NAME.answered.EXT to become NAME.response.EXT. Exit code 1 where something differs.

    Without --by and --api, the folders below FOLDER that are named as APIs of the deployment file are tested, each as its API
    transforms.
    """
    plans = [(folder, _transformer(by, api, option or [], deployment, still=True))]
    if not api and not any(folder.glob("*.request.*")) and deployment_file(deployment).exists():
        names = [name for name, each in load(deployment_file(deployment))[0].apis.items() if each.transform is not None]
        plans = [(folder / name, _transformer(by, name, [], deployment, still=True)) for name in names if (folder / name).is_dir()]
        if not plans:
            raise golden.NoGolden(
                f"{folder} has no golden files, and no folder that is named as a transformation of the deployment"
            )
    tested = different = 0
    for at, transformer in plans:
        for request in golden.cases(at):
            tested += 1
            found = list(golden.differences(transformer, request))
            different += bool(found)
            _told(found, write=write)
    console.print(f"{tested} tested, {different} {'written anew' if write else 'different'}")
    if different and not write:
        raise typer.Exit(1)


@commands.command("report")
def report(
    deployment: DeploymentFile = Path("deployment.yaml"),
    data: DataFolder = None,
    api: Annotated[str, typer.Option("--api", metavar="NAME", help="Of this API only.")] = "",
    days: Annotated[int, typer.Option("--days", min=1, metavar="N", help="Of the last so many days, today included.")] = 30,
    as_json: AsJson = False,
) -> None:
    """Print what became of the values in messages that went through: how many were mapped, and which were not, and how often."""
    file = deployment_file(deployment)
    since = (datetime.now(UTC) - timedelta(days=days - 1)).date()
    rows = asyncio.run(transformed(file, data_folder(data, file), since, api))
    if as_json:
        print_json([row._asdict() for row in rows])
        return
    if not rows:
        console.print("nothing has been transformed in this time")
        return
    print_table(("API", "message", "messages", "mapped", "not mapped", "wrong", "mapped %"), list(_summaries(rows)))
    paths = [row for row in rows if row.path]
    if paths:
        console.print()
        print_table(("API", "message", "", "where", "times"), [(r.api, r.kind, r.fate, r.path, str(r.times)) for r in paths])


def _summaries(rows: Sequence[Row]) -> Iterator[Sequence[str]]:
    for api, kind in dict.fromkeys((row.api, row.kind) for row in rows):
        mine = [row for row in rows if (row.api, row.kind) == (api, kind)]
        messages, mapped, unmapped, wrong = (
            sum(row.times for row in mine if row.fate == fate) for fate in ("message", "mapped", "unmapped", "wrong")
        )
        share = f"{100 * mapped / max(1, mapped + unmapped + wrong):.1f}"
        yield api, kind, str(messages), str(mapped), str(unmapped), str(wrong), share


def _transformer(by: str, api: str, given: list[str], deployment: Path, *, still: bool = False) -> Transformer:
    """The transformer that is meant. `still`: with the clock of golden files."""
    file = deployment_file(deployment)
    options = {name: _value(value) for name, _, value in (each.partition("=") for each in given)}
    if api:
        settings = load(file)[0].apis.get(api)
        if settings is None or settings.transform is None:
            raise FivewaysError(f"{file} has no transformation {api}")
        by, options = settings.transform.by, {**settings.transform.options, **options}
    where = f"apis.{api}.transform" if api else "--by"
    return transformers.made(where, by, Place(api, options, golden.clock(), file.parent), file.parent)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _messages(content: bytes) -> Iterator[bytes]:
    """The messages of a file or batch of HL7 v2, each as it would arrive; anything else as it is."""
    starts = [
        at for at in range(len(content)) if content.startswith(b"MSH", at) and (at == 0 or content[at - 1 : at] in (b"\r", b"\n"))
    ]
    if not starts:
        yield content
        return
    for start, end in zip(starts, [*starts[1:], len(content)], strict=True):
        lines = content[start:end].replace(b"\r\n", b"\r").replace(b"\n", b"\r").split(b"\r")
        yield b"\r".join(line for line in lines if line and line[:3] not in (b"FHS", b"BHS", b"BTS", b"FTS")) + b"\r"


def _show(message: bytes, said: Asked) -> None:
    beside = Table(said.kind or "request", "asked of the back end", box=None, pad_edge=False, expand=True)
    beside.add_row(_rendered(message), _rendered(said.content))
    console.print(beside)
    coverage = said.coverage
    if coverage is None:
        return
    console.print(f"\n{coverage.mapped} values mapped, {len(coverage.unmapped)} not, {len(coverage.wrong)} wrong", style="bold")
    if coverage.unmapped:
        console.print(f"not mapped: {', '.join(coverage.unmapped)}", markup=False)
    for path, why in coverage.wrong:
        console.print(f"wrong: {path}: {why}", markup=False)


def _rendered(content: bytes) -> RenderableType:
    if content.lstrip()[:1] == b"{":
        return Text(_formatted(content), overflow="fold")
    return Text(content.decode("utf-8", "replace").replace("\r", "\n"), overflow="fold")


def _formatted(content: bytes) -> str:
    """JSON, as people read it; numbers as they are."""
    return msgspec.json.format(content, indent=2).decode()


def _readable(content: bytes) -> Any:
    """What is JSON as it is, anything else as text."""
    return msgspec.Raw(content) if content.lstrip()[:1] == b"{" else content.decode("utf-8", "replace")


def _type(content: bytes) -> str:
    start = content.lstrip()[:1]
    return {b"{": "application/fhir+json", b"<": "application/xml"}.get(start, "application/hl7-v2")


def _counted(coverage: Coverage) -> dict[str, object]:
    wrong = [{"path": path, "reason": why} for path, why in coverage.wrong]
    return {"mapped": coverage.mapped, "unmapped": coverage.unmapped, "wrong": wrong}


def _told(found: Sequence[golden.Difference], *, write: bool) -> None:
    for each in found:
        if write:
            content = _formatted(each.made).encode() + b"\n" if each.made[:1] == b"{" else each.made
            each.file.write_bytes(content.replace(b"\r", b"\n") if each.file.suffix == ".hl7" else content)
            console.print(f"written: {each.file}", markup=False)
        elif each.missing:
            console.print(f"{each.file} is not there (--write makes it)", markup=False)
        else:
            console.print(f"{each.file} differs:\n{each.diff}", markup=False)
