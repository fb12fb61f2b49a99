"""The wire protocol of MESH: what its clients send, and what they can read."""
