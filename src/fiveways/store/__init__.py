"""Where everything durable is kept: rows (SQLite or PostgreSQL) and payloads (folder, memory, S3); and the bus that wakes."""
