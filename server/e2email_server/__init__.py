"""e2email-server: receives mail, seals it, stores it, serves it sealed. It cannot open it."""
