"""Messages that are built alike, and what becomes of them."""
