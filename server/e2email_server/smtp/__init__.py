"""Mail from the internet: SMTP on port 25 (RFC 5321), without submission and without relaying."""
