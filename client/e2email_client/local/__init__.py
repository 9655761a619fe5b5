"""The encrypted local store: `cache.db` (may be deleted while nothing runs) and `state.db` (may not)."""
