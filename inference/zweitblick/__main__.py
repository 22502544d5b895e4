"""``python -m zweitblick``."""

import sys

from zweitblick.cli import main

sys.exit(main())
