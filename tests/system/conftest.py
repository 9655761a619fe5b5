"""What the tests of this folder share."""

from support.houses import house, users

__all__ = ["house", "users"]
