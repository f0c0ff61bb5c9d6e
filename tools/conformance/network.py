"""Tables of what the node negotiates as receiver and as sender, and of the rules of its associations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from pydicom import dcmwrite
from pydicom.charset import python_encoding
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom.ae import ApplicationEntity
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import StorageCommitmentPushModel, Verification  # type: ignore[attr-defined]

from candor.files.reader import Block
from gateway.deliver.sender import Outgoing, contexts
from gateway.dimse.contexts import STUDY_IMAGES, supported_contexts
from gateway.dimse.framing import _LARGEST_PDU as LARGEST_PDU
from gateway.dimse.header import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from gateway.receive.bounded_pdu import MAXIMUM_PDU
from gateway.receive.callers import Rejection
from gateway.settings import Caller, Deliver, Destination, Receive, Tls
from tools.conformance.example import results
from tools.conformance.markdown import code, table, uid_name

_SETTINGS: Final[dict[str, type[Block]]] = {
    "receive": Receive,
    "receive.callers": Caller,
    "destinations": Destination,
    "deliver": Deliver,
    "*.tls": Tls,
}
"""The blocks of ``gateway.yaml`` about the network."""


def accepted() -> list[PresentationContext]:
    """Return the contexts that the receiver accepts."""
    return supported_contexts()


def proposed() -> list[PresentationContext]:
    """Return the contexts that the sender proposes for results of every kind, and for its other services."""
    classes = {result.dataset.SOPClassUID: result.dataset for result in results()}
    with TemporaryDirectory() as folder:
        outgoing = []
        for uid, dataset in sorted(classes.items()):
            path = Path(folder) / f"{uid}.dcm"
            dcmwrite(path, dataset, enforce_file_format=True)
            outgoing.append(Outgoing(dataset.SOPInstanceUID, uid, path, sha256(path.read_bytes()).hexdigest()))
        stored = contexts(outgoing)
    return [build_context(Verification), build_context(StorageCommitmentPushModel), *stored]


def sop_classes() -> str:
    """Return a table of every SOP class with the node's role."""
    provided = {str(context.abstract_syntax): "yes" for context in accepted()}
    used = {str(context.abstract_syntax): "yes" for context in proposed()}
    provided[str(StorageCommitmentPushModel)] = "no; takes its reports as SCU"
    rows = [
        (uid_name(uid), code(uid), used.get(uid, "no"), provided.get(uid, "no"))
        for uid in sorted({**provided, **used}, key=uid_name)
    ]
    return table(("SOP class", "UID", "user (SCU)", "provider (SCP)"), rows)


def accepted_contexts() -> str:
    """Return a table of the presentation contexts that are accepted."""
    return _context_table(accepted())


def proposed_contexts() -> str:
    """Return a table of the presentation contexts that are proposed."""
    return _context_table(proposed())


def _context_table(listed: Sequence[PresentationContext]) -> str:
    """Return a table with contexts of the same transfer syntaxes and role in one row."""
    together: dict[tuple[tuple[str, ...], str], list[str]] = {}
    for context in listed:
        syntaxes = tuple(map(str, context.transfer_syntax or ()))
        names = together.setdefault((syntaxes, _role(context)), [])
        names.append(str(context.abstract_syntax))
    rows = [
        ("<br>".join(map(_named, abstract)), "<br>".join(map(_named, syntaxes)), role)
        for (syntaxes, role), abstract in together.items()
    ]
    return table(("abstract syntax", "transfer syntaxes", "role of the peer"), rows)


def _named(uid: str) -> str:
    return f"{uid_name(uid)} {code(uid)}"


def _role(context: PresentationContext) -> str:
    return "SCP, by role selection" if context.scp_role else ""


def policies() -> str:
    """Return a table of the rules of associations, for the receiver and for the sender."""
    entity = ApplicationEntity("CANDOR")
    receive, deliver = Receive(), Deliver()
    rows = [
        ("Application Context Name", code("1.2.840.10008.3.1.1.1"), code("1.2.840.10008.3.1.1.1")),
        ("Implementation Class UID", code(IMPLEMENTATION_CLASS_UID), code(IMPLEMENTATION_CLASS_UID)),
        ("Implementation Version Name", code(IMPLEMENTATION_VERSION_NAME), code(IMPLEMENTATION_VERSION_NAME)),
        ("largest PDU received, in bytes", MAXIMUM_PDU, entity.maximum_pdu_size),
        ("largest PDU sent, in bytes", "what the peer says", f"what the peer says, at most {LARGEST_PDU}"),
        (
            "associations at once",
            f"{code('receive.max_associations')}, {receive.max_associations}",
            "one for each delivery that is under way",
        ),
        (
            "connections from one address",
            f"{code('receive.max_connections_per_address')}, {receive.max_connections_per_address}",
            "",
        ),
        (
            "time-out (ACSE, ARTIM)",
            f"{code('receive.associate_timeout_s')}, {receive.associate_timeout_s:g} s",
            f"{code('deliver.timeout_s')}, {deliver.timeout_s:g} s",
        ),
        (
            "time-outs (DIMSE, network)",
            f"{code('receive.idle_timeout_s')}, {receive.idle_timeout_s:g} s",
            f"{code('deliver.timeout_s')}, {deliver.timeout_s:g} s",
        ),
        ("slowest message", f"{code('receive.min_rate_kib_s')}, {receive.min_rate_kib_s:g} KiB/s", ""),
        ("asynchronous operations", "not negotiated: one at a time", "not negotiated: one at a time"),
        ("role selection", "accepted for storage commitment", "not proposed"),
        ("extended negotiation, user identity", "not supported", "not proposed"),
    ]
    return table(("", "receiver", "sender"), rows)


def rejections() -> str:
    """Return a table of the associations that are rejected."""
    rows = [(each.result, each.source, each.diagnostic, each.reason) for each in Rejection]
    return table(("result", "source", "diagnostic", "when"), rows)


def image_classes() -> int:
    """Return the number of storage classes of the images that become part of a study."""
    return len(STUDY_IMAGES)


def character_sets() -> str:
    """Return a table of the Specific Character Sets that are read and written."""
    names = [name for name in python_encoding if name.startswith(("ISO_IR ", "ISO 2022 ", "GB"))]
    single = [name for name in names if not name.startswith("ISO 2022")]
    extended = [name for name in names if name.startswith("ISO 2022 IR ")]
    rows = [("without code extensions", _listed(single)), ("with code extensions", _listed(extended))]
    return table(("use", "defined terms"), rows)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(code, names))


def settings() -> str:
    """Return a table of the settings about the network, by block."""
    rows = [(code(name), _listed(block.model_fields)) for name, block in _SETTINGS.items()]
    return table(("block", "settings"), rows)


def own_syntax() -> str:
    """Return the name of the transfer syntax that every result is written in."""
    syntaxes = {result.dataset.file_meta.TransferSyntaxUID for result in results()}
    if syntaxes != {ExplicitVRLittleEndian}:
        raise ValueError(f"results are written in {sorted(syntaxes)}; the statement knows one transfer syntax")
    return _named(str(ExplicitVRLittleEndian))
