"""Runs the rules over a deployment file, and looks whether what the file refers to is there."""

from __future__ import annotations

import importlib
import os
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from fiveways.clock import SystemClock
from fiveways.deployment.callables import load_callable
from fiveways.deployment.document import Document, Loc, path
from fiveways.deployment.settings import Reference
from fiveways.errors import DeploymentError
from fiveways.linter import rules
from fiveways.linter.rule import Rule, Severity
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
    deployment, document = load(file)
    findings = []
    for rule in all_rules():
        for loc, message, *graver in rule.found(deployment, file.parent):
            line, column = document.position(loc)
            severity = graver[0] if graver else rule.severity
            findings.append(Finding(rule.id, severity, path(loc), line, column, message, rule.best_practice))
    for loc, message in _dangling(deployment, file.parent):
        line, column = document.position(loc)
        findings.append(Finding("REF", "error", path(loc), line, column, message, "Put it there, or refer to something else."))
    findings = _as_the_programme_says(findings, deployment, document, SystemClock().now().date())
    return sorted(findings, key=lambda finding: (finding.line, finding.column, finding.rule))


def _as_the_programme_says(findings: list[Finding], deployment: Deployment, document: Document, today: date) -> list[Finding]:
    """Findings with the severities that the programme gives them, and without those that it puts up with for now."""
    said = deployment.linting
    left = [replace(each, severity=said.severities.get(each.rule, each.severity)) for each in findings]
    for index, suppression in enumerate(said.suppress):
        meant = [each for each in left if each.rule == suppression.rule and _lies_at(each.path, suppression.at)]
        trouble = ""
        if suppression.until < today:
            trouble = f"this was put up with until {suppression.until}: {suppression.reason}"
        elif not meant:
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
    for loc, value in _references(deployment, ()):
        if value.startswith("env:") and value.removeprefix("env:") not in os.environ:
            yield loc, f"the environment has no {value.removeprefix('env:')}"
        if value.startswith("file:") and not (base / value.removeprefix("file:")).exists():
            yield loc, f"there is no file {base / value.removeprefix('file:')}"


def _references(value: Any, loc: Loc) -> Iterator[tuple[Loc, str]]:
    if isinstance(value, Reference) or (isinstance(value, str) and loc[-1:] == ("jwks",) and value.startswith("file:")):
        yield loc, value
    elif isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            yield from _references(getattr(value, name), (*loc, field.alias or name))
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _references(each, (*loc, key))
    elif isinstance(value, tuple) and not hasattr(value, "_fields"):
        for index, each in enumerate(value):
            yield from _references(each, (*loc, index))
