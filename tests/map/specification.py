"""What MONAI Application Package 1.0.0 demands of the manifests, sentence by sentence; written from its text alone.

Each check returns what breaks a sentence that says MUST or SHALL, or a row of its tables that is required.
"""

from __future__ import annotations

import re
from typing import Any

SEMANTIC_VERSION = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?"
)
PROBES = ("tcp", "grpc", "http-get", "command")
VARIABLES = (
    "HOLOSCAN_INPUT_PATH",
    "HOLOSCAN_OUTPUT_PATH",
    "HOLOSCAN_WORKDIR",
    "HOLOSCAN_MODEL_PATH",
    "HOLOSCAN_CONFIG_PATH",
    "HOLOSCAN_APP_MANIFEST_PATH",
    "HOLOSCAN_PKG_MANIFEST_PATH",
    "HOLOSCAN_DOCS",
    "HOLOSCAN_LOGS",
)
APPLICATION_FIELDS = {
    *("apiVersion", "command", "environment", "input", "readiness", "liveness", "output", "sdk", "sdkVersion"),
    *("timeout", "version", "workingDirectory", "type"),
}
PACKAGE_FIELDS = {"apiVersion", "applicationRoot", "modelRoot", "models", "resources", "version"}
CORES = {"cpu", "cpuLimit", "gpu", "gpuLimit"}
SIZES = {"memory", "memoryLimit", "gpuMemory", "gpuMemoryLimit", "sharedMemory", "sharedMemoryLimit"}


def application_faults(manifest: Any) -> list[str]:
    """Section "Application Manifest", and the table of environment variables."""
    if not isinstance(manifest, dict):
        return ["the manifest is no object"]
    faults = [f"unknown field {name}" for name in manifest.keys() - APPLICATION_FIELDS]
    if manifest.get("type") not in ("service", "application"):
        faults.append("type SHALL be service or application")
    if not (isinstance(manifest.get("command"), str) and manifest["command"].strip()):
        faults.append("command is required, a shell command")
    faults += [
        f"{name} is no semantic version" for name in _unversioned(manifest, "apiVersion", "sdkVersion", "version")
    ]
    faults += _data_faults(manifest, "input", "formats", list) + _data_faults(manifest, "output", "format", dict)
    if not str(manifest.get("workingDirectory", "/var/holoscan/")).startswith("/"):
        faults.append("workingDirectory must be an absolute path")
    timeout = manifest.get("timeout", 0)
    if not _whole(timeout) or timeout < 0:
        faults.append("timeout is no number of seconds")
    for probe in ("readiness", "liveness"):
        if probe in manifest:
            faults += [f"{probe}.{fault}" for fault in _probe_faults(manifest[probe])]
    return faults + _environment_faults(manifest.get("environment"))


def package_faults(manifest: Any) -> list[str]:
    """Section "Package Manifest"."""
    if not isinstance(manifest, dict):
        return ["the manifest is no object"]
    faults = [f"unknown field {name}" for name in manifest.keys() - PACKAGE_FIELDS]
    faults += [f"{name} is no semantic version" for name in _unversioned(manifest, "apiVersion", "version")]
    if not str(manifest.get("applicationRoot", "")).startswith("/"):
        faults.append("applicationRoot is required, an absolute path")
    if not str(manifest.get("modelRoot", "/")).startswith("/"):
        faults.append("modelRoot must be an absolute path")
    models = manifest.get("models", [])
    if not isinstance(models, list):
        return [*faults, "models is no array of objects"]
    for model in models:
        faults += _model_faults(model)
    resources = manifest.get("resources", {})
    return [*faults, *(_resource_faults(resources) if isinstance(resources, dict) else ["resources is no object"])]


def _unversioned(manifest: dict[str, Any], *names: str) -> list[str]:
    texts = {name: manifest.get(name, "0.0.0") for name in names}
    return [name for name, text in texts.items() if not (isinstance(text, str) and SEMANTIC_VERSION.fullmatch(text))]


def _data_faults(manifest: dict[str, Any], name: str, formats: str, kind: type) -> list[str]:
    data = manifest.get(name)
    if not isinstance(data, dict):
        return [f"{name} is required, an object"]
    faults = [] if isinstance(data.get("path", name), str) else [f"{name}.path is no path"]
    value = data.get(formats)
    fits = isinstance(value, kind) and value and (kind is dict or all(isinstance(item, dict) for item in value))
    return faults if fits else [*faults, f"{name}.{formats} is required: {kind.__name__} of objects"]


def _probe_faults(probe: Any) -> list[str]:
    if not isinstance(probe, dict) or probe.get("type") not in PROBES:
        return [f"type SHALL be one of {PROBES}"]
    faults = []
    command = probe.get("command")
    if probe["type"] == "command" and not (
        isinstance(command, list) and command and all(isinstance(word, str) for word in command)
    ):
        faults.append("command is required, an array of strings")
    if probe["type"] != "command" and not (_whole(probe.get("port")) and 1 <= probe["port"] <= 65535):
        faults.append("port is required, from 1 to 65535")
    if probe["type"] == "http-get" and not str(probe.get("path", "")).startswith("/"):
        faults.append("path is required, absolute")
    numbers = ("initialDelaySeconds", "periodSeconds", "timeoutSeconds", "failureThreshold")
    return faults + [f"{name} is no number" for name in numbers if name in probe and not _whole(probe[name])]


def _environment_faults(environment: Any) -> list[str]:
    if not isinstance(environment, dict):
        return ["environment is no object of name-value pairs"]
    faults = [f"environment lacks {name}" for name in VARIABLES if name not in environment]
    return faults + [
        f"environment.{name} is no variable"
        for name, value in environment.items()
        if not (re.fullmatch(r"[A-Za-z_]\w*", name) and isinstance(value, str))
    ]


def _model_faults(model: Any) -> list[str]:
    name = model.get("name") if isinstance(model, dict) else None
    if not isinstance(name, str) or not name:
        return ["models SHALL be defined by name"]
    faults = []
    if re.search(r"[\s\x00-\x1f\x7f]", name):
        faults.append("a model's name SHALL NOT contain whitespace or control characters")
    if len(name.encode()) > 128:
        faults.append("a model's name SHALL NOT exceed 128 bytes")
    return faults if isinstance(model.get("path", name), str) else [*faults, "a model's path is no path"]


def _resource_faults(resources: dict[str, Any]) -> list[str]:
    faults = [f"unknown resource {name}" for name in resources.keys() - CORES - SIZES]
    # "Decimal values MUST be positive, rounded to the nearest tenth"; the default gpu=0 is a legal value.
    faults += [
        f"resources.{name} is no decimal count"
        for name in resources.keys() & CORES
        if isinstance(resources[name], bool) or not re.fullmatch(r"\d+(\.\d)?", str(resources[name]))
    ]
    return faults + [
        f"resources.{name} is no memory size"
        for name in resources.keys() & SIZES
        if not (isinstance(resources[name], str) and re.fullmatch(r"\d+(\.\d)?(Mi|Gi)", resources[name]))
    ]


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
