"""The recovery secret R and what follows from it. docs/specs/recovery.md."""
