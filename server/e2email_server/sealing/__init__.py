"""Sealing on arrival: `job` does it, `pool` says where, `worker` is the process for large mail."""
