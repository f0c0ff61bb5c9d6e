"""The MAP's entry: ``python FOLDER`` runs the application."""

import signal
import sys

# Process 1 of a container ignores a signal that it has no handler for, and the imports below take seconds.
signal.signal(signal.SIGTERM, lambda signum, frame: sys.exit(1))

from app import main  # noqa: E402

sys.exit(main())
