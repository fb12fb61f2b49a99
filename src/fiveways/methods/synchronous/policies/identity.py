"""Identity: who calls, in one of the security contexts that the API names (S35, S36).

A context looks at a request and says who the consumer is, that it presents nothing for this context, or raises AccessDenied for
credentials that are not good. The first context for which something is presented decides.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from fiveways.errors import AccessDenied
from fiveways.types import ANONYMOUS, Consumer, Handler, Interaction, Outcome

Context = Callable[[Interaction], Consumer | None]


class Identity:
    """Establishes the consumer by the first of `contexts` that has something to go by.

    `challenge` is the WWW-Authenticate for a request without credentials, and `wanted` says in words what it lacks.
    """

    def __init__(self, contexts: Sequence[Context], challenge: str = "", wanted: str = "credentials") -> None:
        self._contexts = tuple(contexts)
        self._challenge = {"WWW-Authenticate": challenge} if challenge else {}
        self._wanted = wanted

    def __call__(self, interaction: Interaction, handler: Handler) -> Awaitable[Outcome]:
        """Set `interaction.consumer`, or refuse."""
        for context in self._contexts:
            consumer = context(interaction)
            if consumer is not None:
                interaction.consumer = consumer
                return handler(interaction)
        raise AccessDenied(f"Missing credentials: this API needs {self._wanted}", headers=self._challenge)


def open_access(interaction: Interaction) -> Consumer:
    """Anyone may call."""
    return ANONYMOUS
