"""The HTTPS account API: routes over `accounts` and `logins`. docs/specs/account-api.md."""
