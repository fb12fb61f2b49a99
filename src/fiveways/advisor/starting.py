"""A deployment to start from: what is advised, as a file that passes `fiveways check` and is served, and what it refers to.

The deployments stand in `starts/`, a folder for each pattern, and what several have in common beside them. Every API is of a
consumer with a key that is made for it, and known from then on by its hash alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template

from fiveways.advisor.verdict import KEYS, Verdict
from fiveways.deployment.need import Need
from fiveways.errors import FivewaysError
from fiveways.security.apikeys import generate
from fiveways.security.making import make_key, make_secret, make_ssh_key

_REFERENCE = re.compile(r"file:((?:keys|secrets)/[\w.-]+)")


@dataclass(frozen=True, slots=True)
class Start:
    """`deployment`: the file's text. `beside`: the text of each module of Python that it names, by file name."""

    deployment: str
    beside: dict[str, str]

    @property
    def references(self) -> list[str]:
        """The files of keys and secrets that it refers to, below its folder."""
        return list(dict.fromkeys(_REFERENCE.findall(self.deployment)))

    def write(self, folder: Path) -> Iterator[Path]:
        """Write it, with the keys and secrets that it refers to; what was written. FivewaysError where there is a deployment."""
        file = folder / "deployment.yaml"
        if file.exists():
            raise FivewaysError(f"{file} is there already: name another folder")
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in {file.name: self.deployment, **self.beside}.items():
            (folder / name).write_text(text)
            yield folder / name
        for reference in self.references:
            _make(folder / reference)
            yield folder / reference


def start(verdict: Verdict, need: Need, today: date) -> Start:
    """A deployment to start from. What has to be paid off is so within a year of `today`."""
    folder = resources.files(__package__) / "starts"
    own = folder / ("middleware" if verdict.where == "in middleware" else verdict.pattern)
    key = generate()
    text = _read(own / "deployment.yaml")
    apis = re.findall(r"^  ([a-z]+):", text.partition("\napis:\n")[2].partition("\nexchanges:\n")[0], re.MULTILINE)
    said = {
        "head": _head(verdict), "need": written(need), "apis": ", ".join(apis), "api_key": key.key, "api_key_hash": key.stored,
        "retire_by": str(date(today.year + 1, today.month, 1)),
    }  # fmt: skip
    for name in ("consumer", "mailboxes"):
        said[name] = Template(_read(folder / f"{name}.yaml")).substitute(said)
    beside = {each.name: each.read_text() for each in own.iterdir() if each.name.endswith(".py")}
    return Start(Template(text).substitute(said), beside)


def written(need: Need) -> str:
    """A need as it stands in a deployment file: what is said of it, or else what it is by default."""
    usual = Need()
    said = {key: getattr(need, key) for key in KEYS if getattr(need, key) != getattr(usual, key)}
    said = {"intent": need.intent, **said}
    return "{" + ", ".join(f"{key}: {str(value).lower()}" for key, value in said.items()) + "}"


def _head(verdict: Verdict) -> str:
    return (
        f"# {verdict.method}, {verdict.pattern}, as `fiveways advise` says ({verdict.rule}: {', '.join(verdict.statements)}).\n"
        "# Put your own names and addresses in the place of these; `fiveways check`, then `fiveways serve`.\n"
    )


def _read(file: Traversable) -> str:
    return file.read_text()


def _make(file: Path) -> None:
    if file.name.endswith(".jwks.json"):
        make_key(file.parent, file.name.removesuffix(".jwks.json"))
    elif file.suffix == ".pub":
        make_ssh_key(file.with_suffix(""))
    else:
        make_secret(file)
