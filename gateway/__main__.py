"""``python -m gateway``: run the node, or help a person at a terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

from candor import RESEARCH_USE
from candor.command_line import EXIT_UNUSABLE, run_verb
from gateway.cli.deliver import add_deliver, add_recall, add_resend
from gateway.cli.node import add_audit, add_check_config, add_serve
from gateway.cli.receive import add_echo, add_receive, add_send
from gateway.cli.studies import add_live, add_replay, add_shadow, add_status, add_upkeep, add_work
from gateway.cli.web import add_user_verb, add_web

__all__ = ["EXIT_UNUSABLE", "main"]

ADDERS: Final = (
    add_serve,
    add_check_config,
    add_receive,
    add_work,
    add_deliver,
    add_upkeep,
    add_web,
    add_status,
    add_echo,
    add_send,
    add_replay,
    add_resend,
    add_recall,
    add_live,
    add_shadow,
    add_audit,
    add_user_verb,
)
"""Each adds a verb to the command line. What a verb does is imported when it runs: ``--help`` answers at once."""


def main(arguments: Sequence[str] | None = None, program: str | None = None) -> int:
    """Run one verb of the node and return its exit status.

    Parameters
    ----------
    arguments, program
        As for :func:`candor.command_line.run_verb`.
    """
    return run_verb("gateway", f"Candor's DICOM node. {RESEARCH_USE}.", ADDERS, arguments, program)


if __name__ == "__main__":
    sys.exit(main())
