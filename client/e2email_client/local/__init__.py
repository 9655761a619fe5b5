"""The encrypted local store: `cache.db` (may be deleted at any time) and `state.db` (may not)."""
