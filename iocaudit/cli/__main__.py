"""``python -m iocaudit.cli``."""

from iocaudit.cli.main import main

if __name__ == "__main__":  # a process of a scan imports this module again
    main()
