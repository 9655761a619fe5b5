"""`python -m e2email_client` is `e2email`."""

from e2email_client.main import main

main()
