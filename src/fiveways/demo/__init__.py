"""`fiveways demo`: the platform on this machine, and stories played against it over real sockets."""
