"""python -m e2email_server"""

from e2email_server.main import main

main()
