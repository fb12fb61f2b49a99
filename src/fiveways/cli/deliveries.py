"""What a person does about deliveries: the commands of `fiveways delivery`, which are about all, and of `fiveways promise`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from fiveways.cli.options import DEFAULT, DataFolder, DeploymentFile, NodeName, Reason, at
from fiveways.cli.printing import AsJson, console, moment, print_json, print_table
from fiveways.clock import moment_of
from fiveways.delivery.deadletters import DeadLetters, Inspected, Listed, Waiting
from fiveways.platform.deadletters import dead_letters

Id = Annotated[str, typer.Argument(metavar="ID", help="The delivery's id.", show_default=False)]


def commands(name: str, *, about: str, end: str, prefix: str = "") -> typer.Typer:
    """The commands of `fiveways {name}`, for deliveries of queues whose names begin with `prefix`; `end`: what deciding against
    one is called."""
    made = typer.Typer(help=about, no_args_is_help=True)
    which = "API" if prefix else "queue"
    of: Any = typer.Option("", f"--{which.lower()}", metavar="NAME", help=f"Only of this {which}.")

    @made.command("list")
    def list_(
        deployment: DeploymentFile = DEFAULT,
        queue: str = of,
        waiting: Annotated[bool, typer.Option("--waiting", help="What is still to be delivered, and why it was not yet.")] = False,
        most: Annotated[int, typer.Option("--most", min=1, max=10_000, help="How many at most, oldest first.")] = 100,
        as_json: AsJson = False,
        data: DataFolder = None,
        node: NodeName = "",
    ) -> None:
        """List dead letters, oldest first, and why each was given up."""
        chosen = prefix + queue

        async def look(letters: DeadLetters) -> Sequence[Listed | Waiting]:
            return await (letters.waiting if waiting else letters.list)(chosen, most=most)

        found = at(dead_letters, deployment, data, node, look)
        if as_json:
            print_json([_spelt(each) for each in found])
        elif not found:
            console.print("nothing waits" if waiting else "no dead letters")
        else:
            _print_table(found)

    @made.command("show")
    def show(
        id: Id,  # noqa: A002
        deployment: DeploymentFile = DEFAULT,
        body: Annotated[bool, typer.Option("--body", help="Print the body and nothing else.")] = False,
        as_json: AsJson = False,
        data: DataFolder = None,
        node: NodeName = "",
    ) -> None:
        """Show a delivery and everything that happened to it."""

        async def look(letters: DeadLetters) -> tuple[Inspected, bytes]:
            found = await letters.inspect(id)
            return found, b"".join([piece async for piece in letters.content(found)]) if body else b""

        found, content = at(dead_letters, deployment, data, node, look)
        if body:
            sys.stdout.buffer.write(content)
        elif as_json:
            print_json(_spelt(found))
        else:
            _print_life(found)

    @made.command("mend")
    def mend(
        id: Id,  # noqa: A002
        reason: Reason,
        deployment: DeploymentFile = DEFAULT,
        target: Annotated[str | None, typer.Option("--target", metavar="TARGET", help="Where it is to go instead.")] = None,
        body: Annotated[
            Path | None, typer.Option("--body", metavar="FILE", help="What is to go instead.", exists=True, dir_okay=False)
        ] = None,
        data: DataFolder = None,
        node: NodeName = "",
    ) -> None:
        """Give a dead letter another target or body. It goes when it is sent again."""
        content = body.read_bytes() if body is not None else None
        at(dead_letters, deployment, data, node, lambda letters: letters.mend(id, reason, target=target, body=content))
        console.print(f"mended: {id}; it goes with  fiveways {name} resend {id}", markup=False)

    @made.command("resend")
    def resend(
        id: Id,  # noqa: A002
        reason: Reason,
        deployment: DeploymentFile = DEFAULT,
        data: DataFolder = None,
        node: NodeName = "",
    ) -> None:
        """Have a dead letter attempted again, from the first attempt; it does not expire any more."""
        at(dead_letters, deployment, data, node, lambda letters: letters.resend(id, reason))
        console.print(f"to be sent again: {id}", markup=False)

    @made.command("resend-all")
    def resend_all(
        reason: Reason,
        deployment: DeploymentFile = DEFAULT,
        queue: str = of,
        data: DataFolder = None,
        node: NodeName = "",
    ) -> None:
        """Have all dead letters attempted again, oldest first: what they were given up for is mended."""

        async def again(letters: DeadLetters) -> int:
            found = await letters.list(prefix + queue, most=10_000)
            for each in found:
                await letters.resend(each.id, reason)
            return len(found)

        console.print(f"to be sent again: {at(dead_letters, deployment, data, node, again)}")

    @made.command(end)
    def discard(
        id: Id,  # noqa: A002
        reason: Reason,
        deployment: DeploymentFile = DEFAULT,
        data: DataFolder = None,
        node: NodeName = "",
    ) -> None:
        """Decide that a dead letter, or what is still to be delivered, shall not be. What it held up goes on."""
        at(dead_letters, deployment, data, node, lambda letters: letters.discard(id, reason))
        console.print(f"{'given up' if end == 'give-up' else 'discarded'}: {id}", markup=False)

    return made


def _print_table(found: Sequence[Listed | Waiting]) -> None:
    dead = isinstance(found[0], Listed)
    rows = [(each.id, each.queue, each.key, each.target, _when(each), each.reason) for each in found]
    print_table(("id", "queue", "key", "target", "given up" if dead else "next", "reason"), rows)


def _when(each: Listed | Waiting) -> str:
    if isinstance(each, Listed):
        return moment(each.died)
    return moment(each.next) if each.next is not None else "behind another"


def _print_life(found: Inspected) -> None:
    for name in ("id", "queue", "key", "target", "content_type", "size", "correlation"):
        console.print(f"{name.replace('_', ' '):14}{getattr(found, name)}", markup=False)
    console.print(f"{'state':14}{found.state.value}")
    rows = [(moment(event.at), event.happening, event.state.value, event.by, event.reason) for event in found.events]
    print_table(("at", "what happened", "state", "by", "reason"), rows)


def _spelt(found: msgspec.Struct) -> dict[str, Any]:
    """For JSON: moments as ISO 8601, no body, and the state of a delivery."""
    fields = {name: value for name, value in msgspec.structs.asdict(found).items() if name not in ("body", "payload")}
    for name in ("at", "died", "next", "expires"):
        if fields.get(name) is not None:
            fields[name] = moment_of(fields[name]).isoformat()
    if isinstance(found, Inspected):
        fields |= {"state": found.state.value, "events": [_spelt(event) for event in found.events]}
    return fields
