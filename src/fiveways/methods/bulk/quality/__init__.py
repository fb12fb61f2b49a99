"""Quality control: every record of a file is checked, and the bad ones are set aside with their reasons (B15, B16)."""
