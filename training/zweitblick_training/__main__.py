"""``python -m zweitblick_training``, as ``torchrun`` starts it."""

import sys

from zweitblick_training.cli import main

if __name__ == "__main__":
    sys.exit(main())
