"""The sealed face: IMAP over the store, ciphertext only. The protocol itself is the engine's."""
