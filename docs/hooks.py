"""What mkdocs calls while it builds the site: every `<!-- generated: NAME -->` in a page is replaced by what the code says now.

Nothing generated is committed, so no page can be stale; a marker that nothing generates fails the build.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import generate
from mkdocs.exceptions import PluginError

HERE = Path(__file__).parent
_FETCHED = re.compile(
    r"""<(?:script|link|img|iframe)\b(?![^>]*rel="(?:canonical|prev|next)")[^>]*(?:src|href)="(?:https?:)?//[^"]*"""
)
_MARKER = re.compile(r"<!-- generated: ([a-z-]+) -->")


def on_config(config: Any) -> Any:
    """Have warnings heard: with `--quiet` mkdocs does not even count them, and `--strict` would let everything pass."""
    mkdocs = logging.getLogger("mkdocs")
    mkdocs.setLevel(min(mkdocs.getEffectiveLevel(), logging.WARNING))
    return config


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put in what is generated."""
    return _MARKER.sub(lambda marker: _generated(marker[1]), markdown)


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Refuse a page that would have its reader's browser fetch anything from elsewhere."""
    fetched = _FETCHED.search(output)
    if fetched is not None:
        raise PluginError(f"{page.file.src_uri} fetches from elsewhere: {fetched[0]}")
    return output


def _generated(name: str) -> str:
    try:
        make = generate.PARTS[name]
    except KeyError:
        raise PluginError(f"nothing generates {name!r}: there are {', '.join(generate.PARTS)}") from None
    return make(HERE)
