"""The summary of an audit, for a page about several audits."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from training.markdown import with_interval
from training.measure.selective.figures import ALWAYS_ABSENT
from training.measure.selective.report import coverage_table, gates_table, plot, promises
from training.measure.selective.report_team import finding_table, pooled_table

Json = dict[str, Any]


def headline(record: Json, folder: Path, name: str) -> Iterable[str]:
    """Return the summary: the command, the gates, what is kept, the promises and the team with either reader.

    Parameters
    ----------
    record
        The audit's figures.
    folder
        Holds the plots, in a subfolder of the page's.
    name
        The audit's name, in the plots' file names.
    """
    place = f"{folder.name}/"
    found = record["audit"]
    yield f"    {record['command']}"
    yield (
        f"{record['date']}. Model: {record['model']}. Fitted: {record['fitted']}. Measured: {found['source']}; "
        f"{found['prevalence']:.1%} of their labels are positive. Areas times 1000, smaller is better."
    )
    if "verdict" in record:
        yield f"Verdict: {record['verdict']['text']}."
    yield gates_table(found)
    yield from plot(folder, name, "risk", "Selective and generalized risk at each coverage", place)
    yield _against_absent(found)
    yield coverage_table(found["coverage"]["pooled"])
    _, *rest = promises(record)
    yield from rest
    for kind, team in record["teams"].items():
        reader, policies = list(team["readers"].items())[-1]
        yield f"Team: {team['images']} {team['source']}; {reader}, deferring single answers, then whole images."
        yield pooled_table(policies["answers"])
        yield pooled_table(policies["images"])
        yield best_workload(policies)
        yield finding_table(team["positives"], policies["answers"])
        yield from plot(folder, name, f"team-{kind}", "The team at each workload", place)


def _against_absent(found: Json) -> str:
    gain = found["gates"][ALWAYS_ABSENT]["less_confidence"]["augrc"]
    at = found["coverage"]["pooled"]["80%"]
    beats = gain is not None and gain["low"] > 0
    return (
        f"Confidence {'beats' if beats else 'does not beat'} always absent in AUGRC with the interval on its side. Of "
        f"the surest 80% it gets {with_interval(at['accuracy'])} right, always absent "
        f"{with_interval(at['always_absent'])}."
    )


def best_workload(policies: Json) -> str:
    """Name the workloads at which the team beats the better of both, and random deferral, by the whole interval."""
    texts = []
    for policy, found in policies.items():
        ahead = [at for at in found["workloads"] if 0 < at["workload"] < 1]
        better = [f"{at['workload']:.0%}" for at in ahead if _over(at, "less_better")]
        lucky = [f"{at['workload']:.0%}" for at in ahead if _over(at, "less_random")]
        texts.append(
            f"Deferring {policy}, the team is above the better of both at workloads of {', '.join(better) or 'none'}, "
            f"and above random deferral at {', '.join(lucky) or 'none'} (lower end of the paired interval over 0)."
        )
    return " ".join(texts)


def _over(at: Json, name: str) -> bool:
    difference = at["figures"]["pooled"][name]
    return difference is not None and difference["low"] > 0
