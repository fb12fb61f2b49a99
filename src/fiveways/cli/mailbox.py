"""`fiveways mailbox`: mailboxes, from the side of whoever has one."""

from __future__ import annotations

import typer

from fiveways.cli import listen, mailboxes, open_requests

commands = typer.Typer(
    help="Mailboxes: listen to one, exchange files through one, see what is still unanswered.", no_args_is_help=True
)


@commands.callback()
def _mailbox() -> None:
    pass


commands.command("listen")(listen.listen)
commands.command("folders")(listen.folders)
commands.command("open")(open_requests.command)
mailboxes.add_to(commands)
