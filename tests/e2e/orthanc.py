"""A real Orthanc for the tests, on ports of its own; tests without one are skipped."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from benchmarks.node.crash import accepts, wait_for
from tools.small_pacs import free_port

AE_TITLE: Final = "ORTHANC"
_PLUGIN: Final = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


class Orthanc:
    """One Orthanc in a folder."""

    def __init__(self, folder: Path, node_port: int, **configuration: Any) -> None:
        self.port, self._http = free_port(), free_port()
        self._folder = folder
        self._client: httpx.Client
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "orthanc.json").write_text(
            json.dumps(
                {
                    "Name": "Candor's test",
                    "DicomAet": AE_TITLE,
                    "DicomPort": self.port,
                    "HttpPort": self._http,
                    "StorageDirectory": str(folder / "db"),
                    "IndexDirectory": str(folder / "db"),
                    "AuthenticationEnabled": False,
                    "RemoteAccessAllowed": False,
                    "DicomCheckCalledAet": True,
                    "DicomAlwaysAllowStore": True,
                    "DicomModalities": {
                        "candor": {
                            "AET": "CANDOR",
                            "Host": "localhost",
                            "Port": node_port,
                            "UseDicomTls": "DicomTlsEnabled" in configuration,
                        }
                    },
                    "Plugins": [str(_PLUGIN)] if _PLUGIN.exists() else [],
                    "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
                    "StableAge": 1,
                }
                | configuration
            )
        )

    @contextmanager
    def running(self) -> Iterator[Orthanc]:
        """Start it, and end it."""
        log = (self._folder / "log.txt").open("wb")
        process = subprocess.Popen(
            ["Orthanc", str(self._folder / "orthanc.json")],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | {"TCP_NODELAY": "1"},
        )
        try:
            wait_for(lambda: accepts(self.port) and accepts(self._http), 30.0, "Orthanc")
            with httpx.Client(base_url=f"http://127.0.0.1:{self._http}", timeout=30, verify=False) as self._client:
                yield self
        finally:
            process.terminate()
            process.wait(20)

    def get(self, path: str) -> Any:
        """Ask its REST or DICOMweb interface."""
        answer = self._client.get(path, headers={"Accept": "application/json"})
        answer.raise_for_status()
        return answer.json()

    def _post(self, path: str, body: str) -> Any:
        answer = self._client.post(path, content=body)
        answer.raise_for_status()
        return answer.json()

    def instance(self, sop_instance_uid: str) -> bytes:
        """The file of an instance, as its REST interface gives it back."""
        found = self._post("tools/lookup", sop_instance_uid)
        identifiers = [each["ID"] for each in found if each["Type"] == "Instance"]
        assert len(identifiers) == 1, f"Orthanc knows {len(identifiers)} instances of that UID"
        answer = self._client.get(f"instances/{identifiers[0]}/file")
        answer.raise_for_status()
        return answer.content

    def series(self, study_instance_uid: str) -> list[tuple[str, int]]:
        """Modality and number of instances of each series of a study."""
        query = {"Level": "Series", "Expand": True, "Query": {"StudyInstanceUID": study_instance_uid}}
        found = self._post("tools/find", json.dumps(query))
        return sorted((each["MainDicomTags"]["Modality"], len(each["Instances"])) for each in found)

    def study(self, study_instance_uid: str) -> list[dict[str, Any]]:
        """All instances of a study as DICOMweb (QIDO-RS and WADO-RS metadata) gives them."""
        found: list[dict[str, Any]] = self.get(f"dicom-web/studies/{study_instance_uid}/metadata")
        return found


def skip_without(*programs: str) -> None:
    """Skip where a peer is not installed."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}; 'make peers' installs them on Debian")


def value(instance: dict[str, Any], tag: str) -> Any:
    """Take the first value of an attribute in DICOM JSON; "" where it is empty or missing."""
    values: Sequence[Any] = instance.get(tag, {}).get("Value", [""])
    first = values[0]
    return first.get("Alphabetic", "") if isinstance(first, dict) and "Alphabetic" in first else first
