"""Write the calibration and the gate of a bundle.

Each file names the SHA-256 of the files that it was fitted to. A new calibration closes the gate, since thresholds
fitted to the old probabilities mean nothing for the new ones.
"""

from __future__ import annotations

from collections.abc import Mapping

from candor.decide.calibration import IDENTITY, Beta, Calibration, Curve, Isotonic, Line, LogitMap
from candor.decide.gate import Gate, Thresholds
from candor.files.hashes import file_sha256
from candor.files.reader import JsonFile
from candor.model.bundle import CALIBRATION, GATE, LEARNED_GATE, LEARNED_GATE_WEIGHTS, METADATA, Model
from candor.study.findings import Finding
from training.bundles.trained import Shares
from training.records import write_json

Facts = Mapping[str, object]
"""Facts for people who read the file; loading does not need them."""

NO_FACTS: Mapping[Finding, Facts] = {}


def write_calibration(
    model: Model, calibration: Calibration, facts: Facts, by_finding: Mapping[Finding, Facts] = NO_FACTS
) -> None:
    """Write ``calibration.json``, bound to the model's weights, and close the gate.

    Parameters
    ----------
    model
        The bundle.
    calibration
        Maps of its findings.
    facts, by_finding
        Added to the file as they are: data, date, number of images; figures before and after.
    """
    maps = {
        finding.label: _map_record(m) | dict(by_finding.get(finding, {})) for finding, m in calibration.maps.items()
    }
    record = {"description": calibration.description, "weights_sha256": model.weights_sha256, **facts}
    if calibration.origin is not None:
        origin = calibration.origin
        record |= {"site": origin.site, "date": origin.day.isoformat(), "images": origin.images}
    for outdated in (LEARNED_GATE, LEARNED_GATE_WEIGHTS):  # a learned gate judges the answers of one calibration
        (model.root / outdated).unlink(missing_ok=True)
    write_json(model.root / CALIBRATION, record | {"findings": maps})
    write_gate(model, closed_gate(model), {"kind": "closed"})


def write_gate(model: Model, gate: Gate, facts: Facts, by_finding: Mapping[Finding, Facts] = NO_FACTS) -> None:
    """Write ``gate.json``, bound to the model's weights and to the calibration in the bundle.

    Parameters
    ----------
    model
        The bundle.
    gate
        Thresholds of its findings.
    facts, by_finding
        Added to the file as they are.
    """
    thresholds = {
        finding.label: _threshold_record(pair) | dict(by_finding.get(finding, {}))
        for finding, pair in gate.thresholds.items()
    }
    hashes = {
        "weights_sha256": model.weights_sha256,
        "calibration_sha256": file_sha256(model.root / CALIBRATION),
    }
    write_json(model.root / GATE, {"description": gate.description, **hashes, **facts, "findings": thresholds})


def _threshold_record(pair: Thresholds) -> dict[str, object]:
    groups = {
        attribute: {name: _threshold_record(own) for name, own in by_name.items()}
        for attribute, by_name in pair.groups.items()
    }
    return {"lo": pair.lo, "hi": pair.hi, "groups": groups}


def identity_calibration(shares: Mapping[Finding, float]) -> Calibration:
    """Return a calibration that leaves the logits as they are, at the training data's share of positives."""
    maps = {f: LogitMap(IDENTITY, share, share) for f, share in shares.items()}
    return Calibration(maps, "not calibrated: the network's own probabilities, at the prevalence of its training data")


def trained_shares(model: Model) -> dict[Finding, float]:
    """Return the share of positives of each finding among the training pictures, as the bundle states it.

    Raises
    ------
    BundleError
        A share is missing, or is not in (0, 1).
    """
    file = JsonFile(model.root / METADATA, "export the bundle again (python -m training export)")
    place = "candor.training.shares"
    shares = file.read(Shares, at=place).root
    for finding in model.findings:
        if finding.label not in shares:
            file.refuse(f"{place}.{finding.label}", "is missing")
    return {finding: shares[finding.label] for finding in model.findings}


def closed_gate(model: Model) -> Gate:
    """Return a gate that defers every finding, for a bundle without thresholds."""
    return Gate(dict.fromkeys(model.findings, Thresholds(None, None)), "not fitted: every finding is deferred")


def _map_record(logit_map: LogitMap) -> dict[str, object]:
    return {
        "kind": logit_map.kind.value,
        **_curve_record(logit_map.curve),
        "fitted_prevalence": logit_map.fitted_prevalence,
        "assumed_prevalence": logit_map.assumed_prevalence,
    }


def _curve_record(curve: Curve) -> dict[str, object]:
    match curve:
        case Line():
            return {"slope": curve.slope, "intercept": curve.intercept}
        case Beta():
            return {"a": curve.a, "b": curve.b, "c": curve.c}
        case Isotonic():
            return {"logits": list(curve.logits), "log_odds": list(curve.values)}
    raise TypeError(f"{type(curve).__name__} is not a curve of calibration.json")
