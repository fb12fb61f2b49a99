"""Bulk transfer: files that arrive encrypted, unchanged, complete and audited; one bad record never sinks the rest (B1–B22)."""
