"""The `store:` part of the deployment file."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field
from sqlalchemy.engine import make_url

from fiveways.deployment.settings import Reference, Settings, Unsayable


def _without_password(url: str) -> str:
    if make_url(url).password is not None:
        raise Unsayable("the password does not belong in the file: leave it out of the URL and write password: env:NAME")
    return url


DatabaseUrl = Annotated[str, Field(pattern=r"^(sqlite:///.+|postgresql://.+)$"), AfterValidator(_without_password)]
"""`sqlite:///relative.db`, `sqlite:////absolute.db` or `postgresql://user@host:port/name`."""


class Store(Settings):
    """Where rows and payloads are kept, and what wakes waiting workers; in the data folder unless told otherwise."""

    url: DatabaseUrl | None = None
    """The database: `sqlite:///fiveways.db`, or `postgresql://user@host/name` for several nodes. Default: a file in the data
    folder."""
    password: Reference | None = None
    """Where the database password is kept: `env:NAME` or `file:PATH`."""
    payloads: Annotated[str, Field(pattern=r"^(file://.+|memory://|s3://.+)$")] | None = None
    """The payload store: `file:///folder`, `memory://`, or `s3://bucket/prefix?endpoint=…`. Default: below the data folder."""
    bus: Annotated[str, Field(pattern=r"^(local|nats://.+|tls://.+)$")] = "local"
    """What wakes other processes: `local` (this process only; others poll) or `nats://host:port`."""
