"""Centrifugo's client protocol (JSON over WebSocket), so that its client libraries connect as they are."""
