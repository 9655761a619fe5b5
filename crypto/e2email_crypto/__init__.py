"""Bytes to bytes: keys, seals, vaults. No socket, no event loop, no log."""
