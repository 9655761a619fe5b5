"""The commands of `e2email-backup`: one module each, named like the command."""
