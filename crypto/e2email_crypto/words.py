"""Secrets as words, with a checksum that finds typing errors. docs/specs/recovery.md."""
