"""The backup file. docs/specs/backup.md."""
