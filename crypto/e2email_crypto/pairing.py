"""Pairing a new device. docs/specs/pairing.md."""
