"""From a message into a Bundle, and from a Bundle into a message."""
