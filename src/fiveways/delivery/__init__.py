"""Delivery: what must still happen (A10). A promise is a row in the commit of what it follows from, and is kept at least once."""
