"""`python -m nonn` is `nonn`."""

import sys

from nonn.cli import main

if __name__ == "__main__":
    sys.exit(main())
