"""The command line: one file a command."""

from __future__ import annotations

import sys

import typer
from rich.console import Console

import fiveways
from fiveways.cli import (
    audit,
    awaiting,
    call,
    certs,
    check,
    debt,
    delivery,
    demo,
    exchange,
    init,
    key,
    mailbox,
    mailboxes,
    promise,
    reload,
    routes,
    sandbox,
    schema,
    serve,
    session,
    submit,
    token,
    trace,
    transform,
    workflow,
)
from fiveways.errors import FivewaysError

errors = Console(stderr=True, soft_wrap=True, highlight=False)

cli = typer.Typer(
    name="fiveways",
    help="Health organisations exchange information in five ways. One deployment file says who, what, with whom and how.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"fiveways {fiveways.__version__}")
        raise typer.Exit


@cli.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version and exit."),
) -> None:
    pass


for command in (init, certs, serve, sandbox, check, debt, demo, schema, routes, trace, reload):
    cli.command(name=command.__name__.rpartition(".")[2])(command.command)
for client_command in (call, submit):
    cli.command(name=client_command.__name__.rpartition(".")[2])(client_command.command)
cli.command(name="await")(awaiting.command)
cli.add_typer(audit.commands, name="audit")
cli.add_typer(delivery.commands, name="delivery")
cli.add_typer(exchange.commands, name="exchange")
cli.add_typer(key.commands, name="key")
mailboxes.add_to(mailbox.commands)
cli.add_typer(mailbox.commands, name="mailbox")
cli.add_typer(promise.commands, name="promise")
cli.add_typer(session.commands, name="session")
cli.add_typer(token.commands, name="token")
cli.add_typer(transform.commands, name="transform")
cli.add_typer(workflow.commands, name="workflow")


def main() -> None:
    """Run the command line; an error on purpose, or of a file or an address, is one clear message and exit code 1."""
    try:
        cli()
    except (FivewaysError, OSError) as error:
        errors.print(f"[bold red]error:[/] {_escaped(str(error))}")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _escaped(text: str) -> str:
    return text.replace("[", "\\[")
