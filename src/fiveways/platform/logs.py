"""Structured logs: one JSON object a line (or, on a terminal, one readable line), redacted.

Nothing logs a path, a query, a body or a header; what could still slip through an exception's text is masked here, by form:
digit runs that could be NHS numbers, bearer tokens and JWTs, API keys, and passwords in URLs.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

_SECRETS = (
    (re.compile(r"(?<![0-9A-Za-z-])[0-9]{3}[ -]?[0-9]{3}[ -]?[0-9]{4}(?![0-9A-Za-z-])"), "[nhs number?]"),
    (re.compile(r"eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){1,4}"), "[token]"),
    (re.compile(r"(?i)\b(bearer|basic|apikey|nhsmesh)[ :=]+[^\s,;\"']{8,}"), r"\1 [credentials]"),
    (re.compile(r"fwk_[A-Za-z0-9_-]+"), "[api key]"),
    (re.compile(r"://[^/\s:@]+:[^/\s@]+@"), "://[credentials]@"),
)


def redact(text: str) -> str:
    """`text` without what must not be in a log."""
    for pattern, mask in _SECRETS:
        text = pattern.sub(mask, text)
    return text


def _redacted(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if isinstance(value, str) and key not in ("message_id", "timestamp", "level"):
            event[key] = redact(value)
    return event


def configure(*, level: str = "info", json: bool | None = None) -> None:
    """Set logging up for this process. `json` None means: JSON unless standard error is a terminal."""
    number = logging.getLevelNamesMapping()[level.upper()]
    readable = sys.stderr.isatty() if json is None else not json
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _redacted,
    ]
    renderer: Any = structlog.dev.ConsoleRenderer() if readable else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    for noisy in ("granian", "_granian", "uvicorn", "asyncio", "aiosqlite", "alembic", "sqlalchemy", "asyncssh"):
        logging.getLogger(noisy).setLevel(max(number, logging.WARNING))
