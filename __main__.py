"""The MAP's entry: ``python FOLDER`` runs the application."""

import sys

from app import main

sys.exit(main())
