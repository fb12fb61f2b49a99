"""What is remembered of every interaction: audit, duplicates, replays, permits, and the outbox of events."""
