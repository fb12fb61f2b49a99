"""Runs the rules over deployment files, and looks whether what a file refers to is there."""

from __future__ import annotations

import importlib
import os
import pkgutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from pathlib import Path

from fiveways.clock import SystemClock
from fiveways.deployment.callables import load_callable
from fiveways.deployment.document import Document, Loc, path
from fiveways.deployment.settings import Reference
from fiveways.errors import DeploymentError
from fiveways.linter import probe, rules
from fiveways.linter.estate import Estate, Member
from fiveways.linter.observed import Observed
from fiveways.linter.rule import Rule, Severity
from fiveways.linter.texts import texts
from fiveways.methods.synchronous.transformation import transformers
from fiveways.methods.synchronous.transformation.transformer import Place
from fiveways.platform.model import Deployment, load
from fiveways.platform.routing import unusable


@dataclass(slots=True, frozen=True)
class Finding:
    """Something found in a deployment file: where, which rule, what is wrong, and what is better."""

    rule: str
    severity: Severity
    path: str
    line: int
    column: int
    message: str
    advice: str


@cache
def all_rules() -> tuple[Rule, ...]:
    """Every rule there is, by id."""
    modules = [importlib.import_module(f"{rules.__name__}.{module.name}") for module in pkgutil.iter_modules(rules.__path__)]
    return tuple(sorted((module.rule for module in modules), key=lambda rule: rule.id))


def lint(file: Path) -> list[Finding]:
    """What is found in the file, in its order; DeploymentError where it is no deployment at all."""
    return lint_all([file])[file]


def lint_all(files: Sequence[Path], *, observed: Observed | None = None, probing: bool = False) -> dict[Path, list[Finding]]:
    """What is found in each file, and in all of them together; DeploymentError where one is no deployment at all.

    `observed`: what the running platform's metrics say, for rules that observe. `probing`: try whether back ends can be reached.
    """
    read = {file: load(file) for file in files}
    several = len(read) > 1
    across: dict[Path, list[Finding]] = _across(read) if several else {}
    today = SystemClock().now().date()
    told = {}
    for file, (deployment, document) in read.items():
        findings = [*_within(deployment, document, file.parent, observed, probing), *across.get(file, ())]
        silent = {rule.id for rule in all_rules() if _not_looked(rule, observed is not None, several, probing)}
        findings = _as_the_programme_says(findings, deployment, document, today, silent)
        told[file] = sorted(findings, key=lambda finding: (finding.line, finding.column, finding.rule))
    return told


def _within(deployment: Deployment, document: Document, base: Path, observed: Observed | None, probing: bool) -> Iterator[Finding]:
    """What is found in one deployment."""
    for rule in all_rules():
        for loc, message, *graver in rule.found(deployment, base, observed):
            yield _finding(rule, document, loc, message, *graver)
    if probing:
        (rule,) = (each for each in all_rules() if each.id == probe.RULE)
        for loc, message in probe.reached(deployment):
            yield _finding(rule, document, loc, message, "error")
    for loc, message in _dangling(deployment, base):
        advice = "Put it there, or refer to something else."
        yield Finding("REF", "error", path(loc), *document.position(loc), message, advice)


def _across(read: Mapping[Path, tuple[Deployment, Document]]) -> dict[Path, list[Finding]]:
    """What is found in several deployments together, by file."""
    members = [(file, document) for file, (_, document) in read.items()]
    names = labels(read)
    estate = Estate([Member(names[file], deployment) for file, (deployment, _) in read.items()])
    findings: dict[Path, list[Finding]] = {}
    for rule in all_rules():
        for number, loc, message, *graver in rule.find_across(estate) if rule.find_across is not None else ():
            file, document = members[number]
            findings.setdefault(file, []).append(_finding(rule, document, loc, message, *graver))
    return findings


def labels(files: Iterable[Path]) -> dict[Path, str]:
    """What each of several files is called: its name, or its path from the folder that is above them all."""
    known = list(files)
    if len({file.name for file in known}) == len(known):
        return {file: file.name for file in known}
    above = Path(os.path.commonpath([file.parent for file in known]))
    return {file: file.relative_to(above).as_posix() for file in known}


def _finding(rule: Rule, document: Document, loc: Loc, message: str, severity: Severity | None = None) -> Finding:
    return Finding(rule.id, severity or rule.severity, path(loc), *document.position(loc), message, rule.best_practice)


def _not_looked(rule: Rule, observing: bool, several: bool, probing: bool) -> bool:
    """Whether a rule has not looked everywhere where it may find something: that it finds nothing means little then."""
    unseen = (rule.observe is not None and not observing) or (rule.find_across is not None and not several)
    return unseen or (rule.id == probe.RULE and not probing)


def _as_the_programme_says(
    findings: list[Finding], deployment: Deployment, document: Document, today: date, silent: Collection[str]
) -> list[Finding]:
    """Findings with the severities that the programme gives them, and without those that it puts up with for now. `silent`: rules
    that have not looked everywhere, so that nothing is said of those of their findings that are not there."""
    said = deployment.linting
    left = [replace(each, severity=said.severities.get(each.rule, each.severity)) for each in findings]
    for index, suppression in enumerate(said.suppress):
        meant = [each for each in left if each.rule == suppression.rule and _lies_at(each.path, suppression.at)]
        trouble = ""
        if suppression.until < today:
            trouble = f"this was put up with until {suppression.until}: {suppression.reason}"
        elif not meant and suppression.rule not in silent:
            trouble = f"there is no finding {suppression.rule} at {suppression.at}: it need not be put up with any more"
        else:
            left = [each for each in left if each not in meant]
        if trouble:
            loc = ("linting", "suppress", index)
            left.append(
                Finding("LINT", "warning", path(loc), *document.position(loc), trouble, "Mend what was found, or say it anew.")
            )
    return left


def _lies_at(found: str, at: str) -> bool:
    return found == at or found.startswith((f"{at}.", f"{at}["))


def _dangling(deployment: Deployment, base: Path) -> Iterator[tuple[Loc, str]]:
    """References to environment variables that are not set and files that are not there."""
    for name, api in deployment.apis.items():
        named: list[tuple[Loc, str]] = [(("policies", index), policy) for index, policy in enumerate(api.policies)]
        named += [(("plan",), api.plan)] if api.plan is not None else []
        named += [(("facade",), api.facade)] if api.facade is not None else []
        check = api.promise.check if api.promise is not None else None
        named += [(("promise", "check"), check)] if check is not None else []
        for where, callable_ in named:
            try:
                load_callable(callable_, base)
            except (ImportError, AttributeError) as error:
                yield ("apis", name, *where), f"{callable_} cannot be loaded: {error}"
        if api.transform is not None:
            try:
                transformers.made("transform", api.transform.by, Place(name, api.transform.options, SystemClock(), base), base)
            except DeploymentError as error:
                yield ("apis", name, "transform"), str(error)
    routing = deployment.messaging.routing
    if routing is not None and (problem := unusable(routing, base)):
        yield ("messaging", "routing"), problem
    for loc, value in texts(deployment):
        if not isinstance(value, Reference) and loc[-1:] != ("jwks",):
            continue
        if isinstance(value, Reference) and value.startswith("env:") and value.removeprefix("env:") not in os.environ:
            yield loc, f"the environment has no {value.removeprefix('env:')}"
        if value.startswith("file:") and not (base / value.removeprefix("file:")).exists():
            yield loc, f"there is no file {base / value.removeprefix('file:')}"
