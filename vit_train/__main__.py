"""`python -m vit_train` equals `vit-train`."""

import sys

from vit_train.cli import main

sys.exit(main())
