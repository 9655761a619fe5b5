"""The sealed message: what the server stores for each mail (docs/specs/sealed-message.md)."""
