"""The command line: one file a command, loaded when it is asked for, so that each starts as fast as what it does allows."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any, Final

import typer
from rich.console import Console
from typer.core import TyperGroup
from typer.main import get_command

import fiveways
from fiveways.errors import FivewaysError

NAMES: Final = (
    "init", "certs", "serve", "sandbox", "advise", "check", "debt", "demo", "schema", "routes", "trace", "reload", "call",
    "submit", "await", "audit", "bulk", "channel", "delivery", "exchange", "key", "mailbox", "promise", "session", "token",
    "transform", "workflow",
)  # fmt: skip
"""The commands in the order of the help. Each is in the module of its name, which has a `command`, or several `commands`."""
_MODULES: Final = {"await": "awaiting"}
"""Where a module cannot have the name: Python has it."""


class Commands(TyperGroup):
    """The commands, each made when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names."""
        return list(NAMES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """One of them; None where there is none of the name."""
        if cmd_name not in NAMES:
            return None
        if cmd_name not in self.commands:
            module = import_module(f"{__name__}.{_MODULES.get(cmd_name, cmd_name)}")
            several = getattr(module, "commands", None)
            if several is None:
                several = typer.Typer(rich_markup_mode="rich", pretty_exceptions_enable=False)
                several.command(name=cmd_name)(module.command)
            made = self.commands[cmd_name] = get_command(several)
            made.name = cmd_name
        return self.commands[cmd_name]


errors = Console(stderr=True, soft_wrap=True, highlight=False)

cli = typer.Typer(
    name="fiveways",
    cls=Commands,
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
