"""The demo's stories, one a file; each defines `title` and `play(stage)`."""
