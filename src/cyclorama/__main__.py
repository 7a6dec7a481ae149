"""``python -m cyclorama``: the command."""

import sys

from cyclorama.cli import main

if __name__ == "__main__":
    sys.exit(main())
