"""Synchronous interaction: the answer comes on the connection that asked, through the gateway (S1, S31, S33)."""
