"""Runs the command as `python -m attendant`."""

import sys

from attendant.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
