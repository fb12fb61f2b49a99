"""One lint rule a file; each defines `rule`."""
