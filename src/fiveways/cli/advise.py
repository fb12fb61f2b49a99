"""`fiveways advise`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.prompt import Prompt

from fiveways.advisor import profile, writing
from fiveways.advisor.starting import Start, start
from fiveways.advisor.verdict import KEYS, Verdict, advise, changes, paraphrase, values
from fiveways.cli.options import deployment_file
from fiveways.cli.printing import console, print_json
from fiveways.clock import SystemClock
from fiveways.deployment.need import Need
from fiveways.deployment.settings import parse_duration, parse_percent
from fiveways.platform.model import Programme, load


def command(
    answers: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="What is known of the need: intent=update slow=true.")
    ] = None,
    file: Annotated[Path | None, typer.Option("--file", metavar="FILE", help="A YAML file with the answers.")] = None,
    ask: Annotated[
        bool, typer.Option("--ask", help="Ask for the rest, one by one: only what can still change the advice.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown, for a decision record.")] = False,
    programme: Annotated[
        Path | None,
        typer.Option("--programme", metavar="DEPLOYMENT", help="The deployment file whose programme: sets the thresholds."),
    ] = None,
    patience: Annotated[
        str | None, typer.Option("--patience", metavar="DURATION", help="What expected_latency is held against. Default: 3s.")
    ] = None,
    availability: Annotated[
        str | None,
        typer.Option("--availability", metavar="PERCENT", help="What the provider's availability is held against. Default: 99.9%."),
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option("--write", metavar="DIR", help="Write a deployment to start from into DIR, with keys and secrets for it."),
    ] = None,
) -> None:
    """Say which way of exchanging information fits a need, what to try first, what it costs consumers, and what would change it.

    What is not said has the answer of an ordinary granular synchronous call. Examples:
    fiveways advise intent=update human_actor=true; fiveways advise intent=create payload=bulk purpose=background;
    fiveways advise --ask --write mine && fiveways check mine && fiveways serve mine
    """
    said = {**(profile.of_file(file) if file is not None else {}), **profile.of_arguments(answers or ())}
    limits = _limits(programme, patience, availability)
    need = profile.need(said, patience=limits[0], availability=limits[1])
    if ask:
        need = _asked(said, need, limits)
    verdict, found = advise(need), changes(need)
    begun = start(verdict, need, SystemClock().now().date())
    files = list(begun.write(write)) if write is not None else []
    if as_json:
        print_json(writing.as_json(verdict, found, begun))
    elif markdown:
        typer.echo(writing.as_markdown(verdict, found, begun), nl=False)
    else:
        _print(verdict, need)
        _print_start(begun, files)


def _limits(programme: Path | None, patience: str | None, availability: str | None) -> tuple[timedelta, float]:
    """What figures are held against: what is said here, or else by the programme (S12)."""
    said = load(deployment_file(programme))[0].programme if programme is not None else Programme()
    return (
        parse_duration(patience) if patience is not None else said.patience,
        parse_percent(availability) if availability is not None else said.availability,
    )


def _asked(said: dict[str, Any], need: Need, limits: tuple[timedelta, float]) -> Need:
    """Ask for what was not said, where it can still change the advice."""
    while True:
        open_ = [each.key for each in changes(need) if each.key not in said]
        if not open_:
            return need
        key = next(key for key in KEYS if key in open_)
        console.print(f"[bold]{Need.model_fields[key].description}[/]  [dim]({key})[/]")
        choices = [str(value).lower() for value in values(key)]
        given = str(getattr(need, key)).lower()
        answer = Prompt.ask("", console=console, choices=choices, default=given)
        said |= profile.of_arguments([f"{key}={answer}"])
        need = profile.need(said, patience=limits[0], availability=limits[1])


def _print(verdict: Verdict, need: Need) -> None:
    if verdict.try_first:
        console.print("[bold]Try first[/]")
        for each in verdict.try_first:
            console.print(f"  {each}", markup=False)
        console.print()
    console.print(f"[bold green]{verdict.method}[/]  [bold]{writing.pattern_of(verdict)}[/]   {verdict.rule}: {verdict.title}")
    if verdict.other is not None:
        console.print(f"  or, as good: {verdict.other[0]}, {verdict.other[1]}")
    if verdict.paradigm:
        console.print(f"  by {verdict.paradigm}")
    if verdict.target:
        console.print(f"  target: {verdict.target}")
    for warning in verdict.warnings:
        console.print(f"  [yellow]![/] {warning}")
    console.print("\n[bold]What a consumer builds[/]")
    for pattern, parts in writing.candidates(verdict):
        console.print(f"  {'█' * len(parts):5} {pattern}: {'; '.join(parts)}", markup=False)
    console.print("\n[bold]It rests on[/]")
    for each in verdict.statements:
        console.print(f"  {each:4} {paraphrase(each)}", markup=False)
    if found := changes(need):
        console.print("\n[bold]What would change it[/]")
        for change in found:
            console.print(f"  {writing.change_of(change)}", markup=False)


def _print_start(begun: Start, files: list[Path]) -> None:
    """The deployment itself; or, where it has been written, which files there are."""
    console.print("\n[bold]A deployment to start from[/]")
    if files:
        for file in files:
            console.print(f"  wrote {file}", markup=False)
        return
    console.print(begun.deployment, markup=False, style="dim")
    if beside := [*begun.beside, *begun.references]:
        console.print(f"  It refers to {', '.join(beside)}: --write DIR writes it with all of them.", markup=False)
