"""What `call`, `submit` and `await` have in common: where the deployment is, who we are to it, and what is printed."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fiveways.client.errors import ClientError, StillRunning
from fiveways.deployment.settings import parse_duration

if TYPE_CHECKING:
    from fiveways.client.access import Access
    from fiveways.client.answer import Answer
    from fiveways.client.fiveways import Fiveways
    from fiveways.client.job import Job
    from fiveways.client.ledger import Ledger

STILL_RUNNING = 3
"""The exit code where there is no outcome yet."""
_BEGINNING = 4096
"""Bytes of a body that are looked at for its type."""

Method = Annotated[str, typer.Argument(metavar="METHOD", help="GET, POST, …")]
PathOf = Annotated[str, typer.Argument(metavar="PATH", help="From the deployment's address on: /demographics/FHIR/R4/Patient/1.")]
Url = Annotated[str, typer.Option("--url", envvar="FIVEWAYS_URL", metavar="URL", help="Where the deployment is.")]
ApiKeyOf = Annotated[
    str,
    typer.Option("--api-key", envvar="FIVEWAYS_API_KEY", metavar="KEY", help="An API key, or @FILE: others can see what is typed."),
]
Key = Annotated[Path | None, typer.Option("--key", metavar="FILE", help="The private key (PEM) for a signed JWT.")]
Kid = Annotated[str, typer.Option("--kid", metavar="ID", help="Its id in the registered key set.")]
ClientId = Annotated[str, typer.Option("--client-id", metavar="ID", help="Which application we are.")]
TokenUrl = Annotated[str, typer.Option("--token-url", metavar="URL", help="Where tokens are. Default: URL/oauth2/token.")]
Ca = Annotated[Path | None, typer.Option("--ca", metavar="FILE", help="Certificate authorities (PEM), besides the system's.")]
Cert = Annotated[Path | None, typer.Option("--cert", metavar="FILE", help="Our client certificate (PEM).")]
CertKey = Annotated[Path | None, typer.Option("--cert-key", metavar="FILE", help="Its private key (PEM).")]
BodyOf = Annotated[str, typer.Option("--body", "-d", metavar="TEXT", help="What is sent: text, @FILE, or - for standard input.")]
HeaderOf = Annotated[list[str] | None, typer.Option("--header", "-H", metavar="NAME: VALUE", help="A header field; repeat it.")]
Timeout = Annotated[str, typer.Option("--timeout", metavar="DURATION", help="How long it may take.")]
LedgerFile = Annotated[Path, typer.Option("--ledger", metavar="FILE", help="The ledger of jobs; made where there is none.")]
Include = Annotated[bool, typer.Option("--include", "-i", help="Print status and header fields too.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the body to this file.")]
Progress = Annotated[bool, typer.Option("--progress", help="Show how far it is, on standard error.")]


def access(
    api_key: str,
    client_id: str,
    key: Path | None,
    kid: str,
    token_url: str,
    ca: Path | None,
    cert: Path | None,
    cert_key: Path | None,
) -> list[Access]:
    """Who we are. Raises ClientError for half of it."""
    from fiveways.client.access import ApiKey, Certificate, SignedJwt

    found: list[Access] = []
    if api_key:
        found.append(ApiKey(Path(api_key[1:]).read_text().strip() if api_key.startswith("@") else api_key))
    if key is not None:
        if not client_id or not kid:
            raise ClientError("--key needs --client-id and --kid")
        found.append(SignedJwt(client_id, key, kid, token_url))
    if ca is not None or cert is not None or cert_key is not None:
        found.append(Certificate(cert, cert_key, ca))
    return found


@asynccontextmanager
async def deployment(url: str, known_as: list[Access], ledger: Ledger | None = None) -> AsyncIterator[Fiveways]:
    """The deployment, as whom we are known to it."""
    from fiveways.client.fiveways import Fiveways

    if not url:
        raise ClientError("where is the deployment? Set FIVEWAYS_URL, or say --url")
    async with Fiveways(url, known_as, ledger=ledger) as five:
        yield five


def request(body: str, header: list[str] | None) -> tuple[bytes | Path | None, list[tuple[str, str]]]:
    """What `--body` and `--header` mean; the body's type is that of its beginning, where nobody says. Raises ClientError."""
    pairs = [each.partition(":") for each in header or ()]
    if any(not name.strip() or not colon for name, colon, _ in pairs):
        raise ClientError("--header: expected NAME: VALUE")
    fields = [(name.strip(), value.strip()) for name, _, value in pairs]
    content: bytes | Path | None = body.encode() if body else None
    if body == "-":
        content = sys.stdin.buffer.read()
    elif body.startswith("@"):
        content = Path(body[1:])
    if content is not None and not any(name.lower() == "content-type" for name, _ in fields):
        fields += [("Content-Type", kind) for kind in _kind(content)]
    return content, fields


def _kind(content: bytes | Path) -> list[str]:
    if isinstance(content, Path):
        with content.open("rb") as file:
            content = file.read(_BEGINNING)
    start = content[:_BEGINNING].lstrip()
    if start.startswith(b"{"):
        return ["application/fhir+json" if b'"resourceType"' in start else "application/json"]
    return ["application/fhir+xml" if b"http://hl7.org/fhir" in start else "application/xml"] if start.startswith(b"<") else []


def duration(option: str, said: str) -> timedelta:
    """An option's length of time. Raises ClientError for what is none."""
    try:
        return parse_duration(said)
    except ValueError as error:
        raise ClientError(f"{option}: found {said!r}, {error}") from None


def show(answer: Answer, include: bool, output: Path | None) -> int:
    """Print an answer; the exit code that it means."""
    if include:
        lines = [f"HTTP {answer.status}", *(f"{name}: {value}" for name, value in answer.headers.pairs()), "", ""]
        sys.stdout.write("\n".join(lines))
        sys.stdout.flush()
    elif not answer.ok:
        typer.echo(f"answered {answer.status} (request {answer.request_id})", err=True)
    if output is not None:
        output.write_bytes(answer.content)
    elif answer.content:
        sys.stdout.buffer.write(answer.content)
        if sys.stdout.isatty() and not answer.content.endswith(b"\n"):
            sys.stdout.buffer.write(b"\n")
        sys.stdout.buffer.flush()
    return 0 if answer.ok else 1


async def outcome(job: Job, timeout: timedelta, progress: bool) -> Answer | None:
    """A job's outcome; None where there is none in time."""
    watching = asyncio.create_task(_watch(job)) if progress else None
    try:
        return await job.outcome(timeout)
    except StillRunning:
        return None
    finally:
        if watching is not None:
            watching.cancel()
            await asyncio.wait([watching])


async def _watch(job: Job) -> None:
    """Show each step: as a bar where somebody looks, otherwise as a line."""
    from rich.console import Console
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    if not console.is_terminal:
        async for step in job.progress():
            typer.echo(f"{job.id}: {step.said}", err=True)
        return
    with Bar(console=console, transient=True) as bar:
        task = bar.add_task(job.local_id, total=None)
        async for step in job.progress():
            bar.update(task, description=step.said or "at work", total=100 if step.percent is not None else None)
            bar.update(task, completed=step.percent or 0)


def run(work: Callable[[], Coroutine[Any, Any, int]]) -> None:
    """Run, and end with the exit code that comes of it. What is under way at Ctrl-C is as it would be after a crash."""
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.WARNING)
    raise typer.Exit(asyncio.run(work()))
