"""``python -m iocaudit.cli``."""

from iocaudit.cli.main import main

main()
