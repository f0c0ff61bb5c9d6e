"""The software bill of materials of what Candor ships, as CycloneDX: packages, and the model.

    python -m tools.sbom FILE

The same environment and model give the same bytes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from candor.model.bundle import find_bundle, load_bundle
from candor.study.errors import OutputError
from tools.shipped import normalised, shipped

ROOT: Final = Path(__file__).parent.parent
_VERSION: Final = SchemaVersion.V1_6

Json = dict[str, Any]


def bill(models: Path) -> Json:
    """Return the bill of materials.

    Parameters
    ----------
    models
        The folder of the shipped bundle.

    Returns
    -------
    A CycloneDX document: the environment's, cut down to the packages that are shipped, and the model with the hash of
    its weights.
    """
    document: Json = json.loads(_environment())
    names = shipped()
    kept = [item for item in document["components"] if normalised(item["name"]) in names]
    references = {item["bom-ref"] for item in kept} | {document["metadata"]["component"]["bom-ref"]}
    document["components"] = [*kept, _model(models)]
    document["dependencies"] = [
        {**node, "dependsOn": [needed for needed in node.get("dependsOn", []) if needed in references]}
        for node in document["dependencies"]
        if node["ref"] in references
    ]
    return document


def write_bill(path: Path, models: Path) -> int:
    """Write the bill, validated by CycloneDX's schema, and return the number of its components.

    Raises
    ------
    OutputError
        The document does not fit the schema.
    """
    document = bill(models)
    text = json.dumps(document, indent=1, sort_keys=True) + "\n"
    errors = JsonStrictValidator(_VERSION).validate_str(text)
    if errors:
        raise OutputError(f"the bill of materials does not fit CycloneDX {_VERSION.to_version()}: {errors}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return len(document["components"])


def _environment() -> str:
    command = [sys.executable, "-m", "cyclonedx_py", "environment", "--pyproject", str(ROOT / "pyproject.toml")]
    command += ["--output-reproducible", "--sv", _VERSION.to_version(), sys.executable]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _model(models: Path) -> Json:
    bundle = load_bundle(find_bundle(models))
    return {
        "type": "machine-learning-model",
        "bom-ref": f"model:{bundle.name}@{bundle.version}",
        "name": bundle.name,
        "version": bundle.version,
        "description": "The shipped network with its calibration and gate; research use only, not for diagnosis",
        "hashes": [{"alg": "SHA-256", "content": bundle.sha256}],
    }


def main(arguments: list[str] | None = None) -> int:
    """Write the bill of materials."""
    parser = argparse.ArgumentParser(prog="python -m tools.sbom", description=__doc__)
    parser.add_argument("file", type=Path, help="where to write it, as JSON")
    path = parser.parse_args(arguments).file
    print(f"{write_bill(path, ROOT / 'models')} components in {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
