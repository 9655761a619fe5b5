"""The sealed face over POP3: the inbox as ciphertext. The protocol itself is the engine's."""
