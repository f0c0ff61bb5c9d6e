"""What the node's verbs share: the option that names the settings, and an error."""

from __future__ import annotations

import argparse
from pathlib import Path

from candor.study.errors import CandorError


class NothingToDo(CandorError):
    """The verb has found nothing to start again, to send again or to recall."""


def with_config(verb: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add the option ``--config`` to a verb, and return the verb."""
    verb.add_argument("--config", type=Path, default=Path("gateway.yaml"), metavar="FILE", help="the node's settings")
    return verb
