"""`python -m graphpose` is `graphpose`."""

import sys

from graphpose.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
