"""Repeatable measurements against named peers: ratios and CPU per operation, several rounds, medians."""
