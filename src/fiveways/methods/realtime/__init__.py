"""Real time: channels over which people and systems are in conversation, and live feeds (R1-R8)."""
