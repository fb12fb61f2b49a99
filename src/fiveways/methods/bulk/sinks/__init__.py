"""Where released records go: a folder, an object store, an HTTP endpoint, a mailbox, Python. Each gets every piece once."""
