"""One file for each command of `e2email`: `sync.py` holds `command`, a click command named sync.

A file whose name begins with an underscore is no command. Nothing is listed anywhere else.
"""
