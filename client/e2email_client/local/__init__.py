"""The encrypted local store: `cache.db` (fetched again where it is missing) and `state.db`."""
