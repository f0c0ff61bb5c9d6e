"""``python -m gateway``: run the node, or help a person at a terminal."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from cxr import RESEARCH_USE
from cxr.errors import CandorError
from gateway.verbs_deliver import add_deliver, add_recall, add_resend
from gateway.verbs_jobs import add_live, add_replay, add_shadow, add_status, add_tend, add_work
from gateway.verbs_node import add_audit, add_check_config, add_serve
from gateway.verbs_receive import add_echo, add_receive, add_send
from gateway.verbs_web import add_user_verb, add_web

EXIT_UNUSABLE: Final = 2

ADDERS: Final = (
    partial(add_serve, now=time.time),
    add_check_config,
    add_receive,
    add_work,
    add_deliver,
    add_tend,
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
"""Each adds a verb to the command line."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; what Candor raises on purpose becomes one line on standard error and exit code 2."""
    options = _parser().parse_args(arguments)
    try:
        options.verb(options)
    except CandorError as error:
        print(f"gateway: {error}", file=sys.stderr)
        return EXIT_UNUSABLE
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m gateway", description=f"Candor's DICOM node. {RESEARCH_USE}.")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    for add in ADDERS:
        add(partial(_verb, verbs))
    return parser


def _verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser],
    run: Callable[[argparse.Namespace], None],
    name: str,
    text: str,
) -> argparse.ArgumentParser:
    verb = verbs.add_parser(name, help=text, description=text, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    verb.set_defaults(verb=run)
    return verb


if __name__ == "__main__":
    sys.exit(main())
