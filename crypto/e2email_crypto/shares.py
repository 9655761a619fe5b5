"""m-of-n shares (SLIP-39) of the recovery secret. docs/specs/recovery.md."""
