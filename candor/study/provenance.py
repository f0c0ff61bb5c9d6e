"""What made a result: the application, the model, and the settings that change it. UIDs are derived from these."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from typing import Final

NO_FAMILIARITY: Final = "the bundle has no check of familiarity: no image is compared with the training images"
MANUFACTURER: Final = "Candor"
APPLICATION_NAME: Final = "Candor CXR"
_NAMESPACE: Final = uuid.UUID("7f0f4c52-6a7e-5b0e-9c43-0b6e0a7c9d11")
"""Root of all of Candor's name-based UUIDs; changing it changes every UID that Candor makes."""


def derived_uid(*parts: str) -> str:
    """Return the UID for ``parts``; the same parts always give the same UID.

    References
    ----------
    DICOM PS3.5 B.2 (UUID-derived UID under 2.25); RFC 9562 section 5.5 (name-based UUID, version 5).
    """
    name = "\x1f".join(f"{len(part)}:{part}" for part in parts)
    return f"2.25.{uuid.uuid5(_NAMESPACE, name).int}"


@dataclass(frozen=True, slots=True)
class Provenance:
    """What made the results of a run; every field changes the Device UID or the result UIDs.

    Parameters
    ----------
    application_version
        Candor's version.
    model_name, model_version
        From the bundle's ``metadata.json``.
    bundle_sha256
        Hash of the bundle's weights, calibration and gate together, in hexadecimal.
    engine
        ``"onnxruntime-cpu"``, ``"torch-cpu"`` or ``"torch-cuda"``: engines differ in the last bits.
    settings_sha256
        Hash of the settings that change results, in hexadecimal.
    calibration
        One line for the report: what the calibration was fitted to, and the prevalence it assumes.
    gate
        One line for the report: what the thresholds promise.
    familiarity
        One line: what the familiarity check was fitted to. None where the bundle has none; the report says so.
    study_answer
        One line: what the answer for the study was fitted to, and the promise of its rule-out. None where the bundle
        has none.
    """

    application_version: str
    model_name: str
    model_version: str
    bundle_sha256: str
    engine: str
    settings_sha256: str
    calibration: str
    gate: str
    familiarity: str | None = None
    study_answer: str | None = None

    @property
    def device_uid(self) -> str:
        """Device UID (0018,1002) of this application with this model; IHE AIR requires a new one for each model."""
        return derived_uid("device", self.application_version, self.bundle_sha256)

    @property
    def software_versions(self) -> str:
        """Software Versions (0018,1020): application, model, and the start of the bundle's hash."""
        return f"{self.application_version}+{self.model_version}.{self.bundle_sha256[:8]}"

    def result_uid(self, kind: str, study_fingerprint: str, *parts: str) -> str:
        """Return the UID of one result object, content item or series of a study.

        Parameters
        ----------
        kind
            The kind of thing, for example ``"sr"``, ``"overlay"``, ``"overlay-series"``, ``"tracking"``.
        study_fingerprint
            :func:`study_fingerprint` of the images that the result rests on.
        parts
            What distinguishes it from others of its kind: a SOP Instance UID, a finding.
        """
        return derived_uid(
            "result",
            kind,
            study_fingerprint,
            self.application_version,
            self.bundle_sha256,
            self.engine,
            self.settings_sha256,
            *parts,
        )


@dataclass(frozen=True, slots=True)
class ForeignFit:
    """The permission of an operator to answer by a fit to other patients than the site's own.

    Parameters
    ----------
    bundle_sha256
        The bundle that it is for, in hexadecimal.
    fitted_to
        The site or the data set of the fit.
    reason
        Why it is used here, in the operator's words; it holds no patient's data.
    """

    bundle_sha256: str
    fitted_to: str
    reason: str


def study_fingerprint(instances: dict[str, str]) -> str:
    """Return the hash of a study's input, a table from SOP Instance UID to the hash of pixels and identity."""
    digest = hashlib.sha256()
    for uid, content in sorted(instances.items()):
        digest.update(f"{uid}\x1f{content}\n".encode())
    return digest.hexdigest()
