"""`python -m lmsteer_core …`."""

import sys

from lmsteer_core.cli import main

sys.exit(main())
