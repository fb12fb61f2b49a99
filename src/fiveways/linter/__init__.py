"""The book's anti-patterns as checks over a deployment file; one rule a file, in `rules/`."""

from fiveways.linter.lint import Finding, lint

__all__ = ["Finding", "lint"]
