"""The book's anti-patterns as checks over a deployment file; one rule a file, in `rules/`."""

from fiveways.linter.lint import Finding, labels, lint, lint_all

__all__ = ["Finding", "labels", "lint", "lint_all"]
