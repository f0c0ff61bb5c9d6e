"""Make the orientation check: train it, set its limits, measure it, and write its card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from candor import RESEARCH_USE
from candor.picture.orientation import CARD, GRAPH, SIDE, Limits, OrientationCheck
from candor.picture.quality import MOST_BORDERS, MOST_CLIPPED, MOST_CONSTANT, MOST_STROKES
from training.checks.orientation.measure import FALSE_ALARMS, figures, set_limits
from training.checks.orientation.network import OrientationNetwork
from training.checks.orientation.sources import Source, stored
from training.checks.orientation.train import BATCH, train_orientation_check, write_orientation_check
from training.records import Occasion, write_json

NO_LIMITS = Limits(inverted=1.0, rotated=1.0, mirrored=1.0, lateral=1.0, no_chest=1.0)


def fit_orientation_check(
    sources: Sequence[Source], folder: Path, *, steps: int, seed: int, occasion: Occasion
) -> Path:
    """Train, set the limits, measure, and write ``screen.onnx`` with its card ``screen.json``.

    Parameters
    ----------
    sources
        Pictures of all sets; each says what it may be used for.
    folder
        Gets both files; made if needed.
    steps
        Training steps.
    seed
        Seed of training.
    occasion
        Date and command, for the card.

    Returns
    -------
    Path of the card.

    Raises
    ------
    DataError
        There is nothing to learn from or to set the limits on, or a picture cannot be decoded.
    BundleError
        The graph does not answer as torch does.
    """
    teachers = [source for source in sources if source.teaches]
    network = train_orientation_check([stored(source) for source in teachers], steps, seed)
    folder.mkdir(parents=True, exist_ok=True)
    write_orientation_check(network, folder / GRAPH)
    limits = set_limits(OrientationCheck(folder / GRAPH, NO_LIMITS), sources)
    orientation = OrientationCheck(folder / GRAPH, limits)
    card = {
        "name": "Candor's screen of polarity, orientation and projection",
        "use": RESEARCH_USE,
        "graph_sha256": orientation.sha256,
        **occasion.facts,
        "network": {"side": SIDE, "parameters": _parameters(network)},
        "training": {"seed": seed, "steps": steps, "batch": BATCH, "pictures": _by_licence(teachers)},
        "measured_on_only": _by_licence(source for source in sources if not source.teaches),
        "false_alarms_allowed": FALSE_ALARMS,
        "limits": asdict(limits),
        "limits_of_pixels": {
            "constant": MOST_CONSTANT,
            "clipped": MOST_CLIPPED,
            "strokes": MOST_STROKES,
            "borders": MOST_BORDERS,
        },
        "figures": figures(folder / GRAPH, orientation, sources),
    }
    write_json(folder / CARD, card)
    return folder / CARD


def _parameters(network: OrientationNetwork) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _by_licence(sources: Iterable[Source]) -> dict[str, int]:
    counts = Counter(f"{source.data}, {source.licence}" for source in sources)
    return dict(sorted(counts.items()))
