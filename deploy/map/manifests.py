"""Write a MAP's manifests, ``app.json`` and ``pkg.json``, from ``app.yaml``.

    python -m deploy.map.manifests app.yaml models OUT

References
----------
MONAI Application Package 1.0.0, sections "Application Manifest" and "Package Manifest".
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import yaml

from candor.study.errors import CandorError, SettingsError

SPECIFICATION: Final = "1.0.0"
COMMAND: Final = "python3 /opt/holoscan/app"
WORKING_DIRECTORY: Final = "/var/holoscan"
ENVIRONMENT: Final = {
    "HOLOSCAN_APPLICATION": "/opt/holoscan/app",
    "HOLOSCAN_INPUT_PATH": "/var/holoscan/input",
    "HOLOSCAN_OUTPUT_PATH": "/var/holoscan/output",
    "HOLOSCAN_WORKDIR": WORKING_DIRECTORY,
    "HOLOSCAN_MODEL_PATH": "/opt/holoscan/models",
    "HOLOSCAN_CONFIG_PATH": "/var/holoscan/app.yaml",
    "HOLOSCAN_APP_MANIFEST_PATH": "/etc/holoscan/app.json",
    "HOLOSCAN_PKG_MANIFEST_PATH": "/etc/holoscan/pkg.json",
    "HOLOSCAN_DOCS": "/opt/holoscan/docs",
    "HOLOSCAN_DOCS_PATH": "/opt/holoscan/docs",  # the specification has the name above, the SDK this one
    "HOLOSCAN_LOGS": "/var/holoscan/logs",
    "HOLOSCAN_LOGS_PATH": "/var/holoscan/logs",
}
"""The image's own variables; the Dockerfile sets the same."""

PROBE: Final = {
    "type": "command",
    "command": ["/var/holoscan/tools", "health"],
    "initialDelaySeconds": 1,
    "periodSeconds": 30,
    "timeoutSeconds": 10,
    "failureThreshold": 3,
}

_SEMANTIC_VERSION: Final = re.compile(r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")
_CORES: Final = re.compile(r"\d+(\.\d)?")
_MEMORY: Final = re.compile(r"\d+(\.\d)?[MG]i")
_AMOUNTS: Final = {
    **dict.fromkeys(("cpu", "cpuLimit", "gpu", "gpuLimit"), (_CORES, "a count with at most one decimal")),
    **dict.fromkeys(
        ("memory", "memoryLimit", "gpuMemory", "gpuMemoryLimit", "sharedMemory"), (_MEMORY, "a size as 1.5Gi or 512Mi")
    ),
}

Json = dict[str, Any]


def application_manifest(config: Json, sdk_version: str) -> Json:
    """Return the content of ``app.json``.

    Parameters
    ----------
    config
        The whole ``app.yaml``; its block ``application`` has title, version, inputFormats and outputFormat.
    sdk_version
        Version of the MONAI Deploy App SDK in the image.

    Raises
    ------
    SettingsError
        The block lacks something, or its version is not a semantic version.
    """
    block = _block(config, "application")
    formats = _given(block, "inputFormats", list)
    if not formats or not all(isinstance(item, dict) for item in formats):
        raise SettingsError("app.yaml: application.inputFormats must be a list of 'name: value' mappings")
    return {
        "apiVersion": SPECIFICATION,
        "command": COMMAND,
        "environment": dict(ENVIRONMENT),
        "input": {"formats": formats, "path": "input/"},
        "liveness": dict(PROBE),
        "output": {"format": _given(block, "outputFormat", dict), "path": "output/"},
        "readiness": dict(PROBE),
        "sdk": "monai-deploy",
        "sdkVersion": sdk_version,
        "timeout": 0,
        "type": "application",
        "version": application_version(config),
        "workingDirectory": f"{WORKING_DIRECTORY}/",
    }


def package_manifest(config: Json, models: Path) -> Json:
    """Return the content of ``pkg.json``.

    Parameters
    ----------
    config
        The whole ``app.yaml``; its block ``resources`` has what a run needs.
    models
        Folder with a subfolder for each model bundle.

    Raises
    ------
    SettingsError
        A resource is unknown or not in the form that the specification requires, or there is no model.
    """
    names = sorted(metadata.parent.parent.name for metadata in models.glob("*/configs/metadata.json"))
    if not names:
        raise SettingsError(f"{models} holds no model bundle; name the folder that holds the bundle's folder")
    return {
        "apiVersion": SPECIFICATION,
        "applicationRoot": ENVIRONMENT["HOLOSCAN_APPLICATION"],
        "modelRoot": ENVIRONMENT["HOLOSCAN_MODEL_PATH"],
        "models": [{"name": name, "path": name} for name in names],
        "resources": _resources(_block(config, "resources")),
        "version": application_version(config),
    }


def application_version(config: Json) -> str:
    """Return the application's semantic version.

    Raises
    ------
    SettingsError
        It is missing or not a semantic version.
    """
    text = _given(_block(config, "application"), "version", str)
    if not _SEMANTIC_VERSION.fullmatch(text):
        raise SettingsError(f"app.yaml: application.version is {text!r}; it must be a semantic version as 1.2.3")
    return str(text)


def _resources(block: Json) -> Json:
    for name, amount in block.items():
        if name not in _AMOUNTS:
            raise SettingsError(f"app.yaml: unknown resource {name!r}; known are {', '.join(_AMOUNTS)}")
        pattern, wanted = _AMOUNTS[name]
        if isinstance(amount, bool) or not pattern.fullmatch(str(amount)):
            raise SettingsError(f"app.yaml: resources.{name} is {amount!r}; it must be {wanted}")
    return dict(block)


def _block(config: Json, name: str) -> Json:
    block = config.get(name)
    if not isinstance(block, dict):
        raise SettingsError(f"app.yaml has no block {name!r}")
    return block


def _given(block: Json, name: str, kind: type) -> Any:
    if not isinstance(block.get(name), kind):
        raise SettingsError(f"app.yaml: application.{name} is missing, or not a {kind.__name__}")
    return block[name]


def main(arguments: Sequence[str]) -> int:
    """Write both manifests into a folder; return 0, or 2 after one line where ``app.yaml`` cannot be used."""
    config, models, folder = (Path(argument) for argument in arguments)
    content = yaml.safe_load(config.read_text(encoding="utf-8"))
    try:
        manifests = {
            "app.json": application_manifest(content, version("monai-deploy-app-sdk")),
            "pkg.json": package_manifest(content, models),
        }
    except CandorError as error:
        print(f"candor: {error}", file=sys.stderr)
        return 2
    folder.mkdir(parents=True, exist_ok=True)
    for name, manifest in manifests.items():
        text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
        (folder / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
