"""Errands: files that we bring to a partner's own SFTP server, and files that we fetch there, by a schedule or when asked."""
