"""``python -m p2phole``."""

import sys

from p2phole.cli import main

if __name__ == "__main__":
    sys.exit(main())
