"""POP3 (RFC 1939 and its extensions): a server engine without input or output."""
