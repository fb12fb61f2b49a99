"""What a transformer is: a Python object with two directions, which a deployment file names (S57-S59).

It says a request in the words of the back end, and the back end's answer in the words of the consumer. One request is one upstream
call: what needs several is an orchestration (S44). It is made as `Class(place)`, and has no state that one request leaves to
another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from fiveways.clock import Clock
from fiveways.errors import DeploymentError, Fault

Model = TypeVar("Model", bound=BaseModel)


@dataclass(slots=True, frozen=True)
class Place:
    """Where a transformer stands: its API's name, what the deployment says under `options:`, the clock, and the folder that files
    start from that its options name."""

    name: str
    options: Mapping[str, Any]
    clock: Clock
    base: Path = Path()

    def read(self, model: type[Model]) -> Model:
        """The options as settings. Raises DeploymentError, with every mistake."""
        try:
            return model.model_validate(dict(self.options))
        except ValidationError as error:
            mistakes = [f"options.{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
            raise DeploymentError("; ".join(mistakes)) from None


@dataclass(slots=True)
class Coverage:
    """What became of what was to be transformed: `mapped` counts the values that were, `unmapped` are paths of those that nothing
    names, `wrong` of those that could not be said, with why, `ignored` of those that say nothing of their own. No values."""

    mapped: int = 0
    unmapped: list[str] = field(default_factory=list)
    wrong: list[tuple[str, str]] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)

    def add(self, more: Coverage) -> None:
        """Count what became of more of it."""
        self.mapped += more.mapped
        self.unmapped += more.unmapped
        self.wrong += more.wrong
        self.ignored += more.ignored


@dataclass(slots=True)
class Asked:
    """A request, in one side's words. `path` is below the API's base path, or below the target's URL: '/Patient/1'.

    What a transformer makes may say more of itself: `kind`, what sort of message it was (`ADT^A01`), and its `coverage`, which are
    counted; `key`, by which a repeat is recognised where the request itself says that (MSH-10). `held` is what `ask` leaves to
    `answer` and `refuse` with the consumer's request.
    """

    method: str
    path: str
    query: dict[str, str]
    content_type: str
    content: bytes
    headers: dict[str, str] = field(default_factory=dict)
    id: str = ""
    """The request's id: that of its X-Request-ID, or made here."""
    kind: str = ""
    key: str = ""
    coverage: Coverage | None = None
    held: Any = None


@dataclass(slots=True)
class Answered:
    """An answer, in one side's words."""

    status: int
    content_type: str
    content: bytes
    headers: dict[str, str] = field(default_factory=dict)


class Transformer(Protocol):
    """Two directions."""

    def ask(self, asked: Asked) -> Asked | Answered:
        """What the back end is asked for a consumer's request; or the consumer's answer, where nobody need be asked. Raises the
        fault that refuses it."""
        ...

    def answer(self, asked: Asked, answered: Answered) -> Answered:
        """What the consumer is answered. `asked` is the consumer's request; `answered` came from the back end, whatever its status,
        or says that it was promised (202)."""
        ...

    def refuse(self, asked: Asked, fault: Fault) -> Answered | None:
        """How a fault is said in the consumer's words; None: as the API says its faults."""
        ...
