"""What the node's verbs share: the settings that each of them reads."""

from __future__ import annotations

import argparse
from pathlib import Path

from candor.study.errors import CandorError


class NothingToDo(CandorError):
    """What was to be started again, sent again or changed is not there."""


def with_config(verb: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Let a verb take ``gateway.yaml``."""
    verb.add_argument("--config", type=Path, default=Path("gateway.yaml"), metavar="FILE", help="the node's settings")
    return verb
