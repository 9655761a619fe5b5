"""Where sealed mail and account rows live. `api` is the seam, `sql` and `memory` implement it."""
