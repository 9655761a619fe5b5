"""The commands of `e2email-proxy`: one module each, named like the command."""
