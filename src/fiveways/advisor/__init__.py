"""The advisor: what a need is best met by, why, what to try first, and what it costs its consumers."""
