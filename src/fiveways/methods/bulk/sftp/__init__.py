"""The SFTP server of bulk transfer: logging in, sessions, SFTP version 3, over the `Tree` of a partner."""
