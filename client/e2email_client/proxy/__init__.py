"""The local proxy: opened mail for any IMAP program on this machine."""
