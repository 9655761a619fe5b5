"""IMAP, both directions, without input or output: server engine and client-side reader."""
