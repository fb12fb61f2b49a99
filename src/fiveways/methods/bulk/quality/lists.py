"""Lists of values: those that the settings name, from the file, another file, or what another feed has released."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import polars as pl

from fiveways.methods.bulk.quality.findings import FileFault, Unreadable
from fiveways.methods.bulk.quality.settings import Listed

Feeds = Callable[[str, str], Iterable[str]]
"""The released values of a feed's column."""


def no_feeds(feed: str, column: str) -> Iterable[str]:
    """Where there are no feeds. Raises Unreadable."""
    raise Unreadable(FileFault("list", f"Nothing is known of what the feed {feed} has released"))


def values_of(listed: Listed, name: str, base: Path, feeds: Feeds) -> pl.Series:
    """The values, each once. `name`: the column that is checked. Raises Unreadable where there is no such list."""
    if listed.file is None:
        found = listed.values if listed.feed is None else feeds(listed.feed, listed.column or name)
        return pl.Series(name, found if isinstance(found, tuple) else list(found), pl.String).unique()
    try:
        frame = pl.read_csv(base / listed.file, infer_schema=False)
        return frame[listed.column or frame.columns[0]].drop_nulls().unique()
    except (OSError, pl.exceptions.PolarsError, IndexError):
        raise Unreadable(FileFault("list", f"The list {listed.file} of the column {name} cannot be read")) from None
