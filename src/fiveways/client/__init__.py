"""The consumer's half: a mailbox, a listener, and a ledger of open requests. It knows nothing of the server's."""
