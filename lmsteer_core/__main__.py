"""`python -m lmsteer_core …`."""

import sys

from lmsteer_core.cli.main import main

sys.exit(main())
