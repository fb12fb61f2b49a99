"""Messaging: store-and-forward mailboxes (A1-A47), with MESH's wire protocol in front."""
