"""Wire formats and sans-IO engines. No clock, no random source, no file, no log."""
