"""e2email, e2email-proxy: what runs on the user's machine and holds the keys."""
