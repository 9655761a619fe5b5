"""`python -m e2email_client.proxy`."""

from e2email_client.proxy_main import main

main()
