"""What mkdocs calls while it builds the site: every `<!-- generated: NAME -->` in a page is replaced by what the code says now.

Nothing generated is committed, so no page can be stale; a marker that nothing generates fails the build.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import generate
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

HERE = Path(__file__).parent
_MARKER = re.compile(r"<!-- generated: ([a-z-]+) -->")


def on_files(files: Files, config: Any) -> Files:
    """Add the files that are drawn, not written."""
    for uri, content in generate.drawn(HERE).items():
        files.append(File.generated(config, uri, content=content))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put in what is generated."""
    return _MARKER.sub(lambda marker: _generated(marker[1]), markdown)


def _generated(name: str) -> str:
    try:
        make = generate.PARTS[name]
    except KeyError:
        raise PluginError(f"nothing generates {name!r}: there are {', '.join(generate.PARTS)}") from None
    return make(HERE)
