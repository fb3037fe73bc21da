"""`python -m tracker`: the command `tracker`."""

import sys

from tracker.cli import main

sys.exit(main())
