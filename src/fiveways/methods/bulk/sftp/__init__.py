"""The SFTP server: what partners connect to (SSH: RFC 4251–4254; SFTP version 3: draft-ietf-secsh-filexfer-02)."""
