"""Who calls and what they may: keys, tokens, the authorization server, API keys and client certificates."""
