"""The server's half of the WebSocket protocol, version 13 (RFC 6455), without extensions."""
