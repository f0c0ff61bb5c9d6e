"""The DICOM conformance statement says what a running node does on the network; nothing is left out or made up."""

from __future__ import annotations

import io
import re
import ssl
import sys
import tokenize
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from pydicom import Dataset, dcmread
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    UID,
    AllTransferSyntaxes,
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    generate_uid,
)
from pynetdicom import AE, build_role, evt, sop_class
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

import gateway
from candor.dicom.shared.identity import carry_character_set
from candor.dicom.shared.values import all_values
from candor.files.hashes import file_sha256
from gateway.deliver.commitment_request import Committer
from gateway.deliver.sender import Outgoing, contexts
from gateway.dimse.association import Remote, associated
from gateway.dimse.header import Head, read_head
from gateway.dimse.status import Status, hexadecimal
from gateway.dimse.tls import client_context, server_context
from gateway.receive.journal import Journal
from gateway.receive.receiver import Receiver
from gateway.settings import Destination, Receive, Settings, Tls
from gateway.store.spool import Spool
from gateway.store.states import DeliveryState
from gateway.store.tokens import Tokens
from tests.cases import positive, write_results
from tests.gateway.archive import Archive, Sender, running
from tests.gateway.conftest import Clock
from tests.gateway.network import Authority, association, image, store
from tests.statement import PAGE, section, table, uids
from tools import make_conformance

CODE = Path(gateway.__path__[0])
DICOM_UID = re.compile(r"1\.2\.840\.10008\.[\d.]+")


def store_under_another_class(port: int, sent: Dataset) -> Dataset:
    """Send an image over the presentation context of another SOP class; returns the answer."""
    with association(port, (ComputedRadiographyImageStorage, sent.file_meta.TransferSyntaxUID)) as opened:
        opened.accepted_contexts[0].abstract_syntax = sent.SOPClassUID
        return opened.send_c_store(sent)


@contextmanager
def receiving(settings: Settings, database: sa.Engine, **changes: Any) -> Iterator[int]:
    """A running receiver with changed settings of its own block; gives its port."""
    settings = settings.model_copy(update={"receive": settings.receive.model_copy(update=changes)})
    spool = Path(settings.spool)
    receiver = Receiver(settings, database, Spool(spool), Tokens(spool), lambda *_: None)
    receiver.start()
    try:
        yield receiver.port
    finally:
        with suppress(RuntimeError):
            receiver.stop(0.0)


def listed(heading: str) -> set[tuple[str, str]]:
    """The pairs of abstract and transfer syntax that a table of contexts lists."""
    return {
        (abstract, syntax)
        for row in table(heading)
        for abstract in uids(row["abstract syntax"])
        for syntax in uids(row["transfer syntaxes"])
    }


ACCEPTED = "4.2.2 Receiver: presentation contexts accepted"
PROPOSED = "4.2.5 Sender: presentation contexts proposed"
STORED = "4.2.4 Receiver: Storage"
CHARACTER_SETS = "6 Support of character sets"


class TestThePage:
    def test_is_what_the_code_says(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.setattr(sys, "argv", ["make_conformance", "--check"])
        assert make_conformance.main() == 0, capsys.readouterr().err

    def test_is_written_where_it_is_stale(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        stale = tmp_path / "page.md"
        stale.write_text("what was true once")
        monkeypatch.setattr(make_conformance, "PAGE", stale)
        monkeypatch.setattr(make_conformance, "page", lambda: "what is true now")
        monkeypatch.setattr(sys, "argv", ["make_conformance", "--check"])
        assert make_conformance.main() == 1
        assert "run python -m tools.make_conformance" in capsys.readouterr().err
        monkeypatch.setattr(sys, "argv", ["make_conformance"])
        assert make_conformance.main() == 0
        assert stale.read_text() == "what is true now"

    def test_has_the_sections_of_ps3_2_in_their_order(self) -> None:
        headings = re.findall(r"^## (\d) (.+)$", PAGE.read_text(), re.MULTILINE)
        assert [number for number, _ in headings] == list("12345678")
        assert headings[3][1] == "Networking"


class TestReceiver:
    def test_accepts_exactly_the_contexts_that_are_listed(self, settings: Settings, database: sa.Engine) -> None:
        """Each pair of the page, and every SOP class and transfer syntax that there is beside."""
        expected = listed(ACCEPTED)
        classes = {str(uid) for uid in vars(sop_class).values() if isinstance(uid, str) and DICOM_UID.fullmatch(uid)}
        syntaxes = [*AllTransferSyntaxes, generate_uid()]
        some = {next(iter(uids(row["abstract syntax"]))) for row in table(ACCEPTED)}
        asked = expected | {(uid, ImplicitVRLittleEndian) for uid in classes}
        asked |= {(uid, str(syntax)) for uid in (*some, ComputedRadiographyImageStorage) for syntax in syntaxes}
        assert len(classes) > 200
        assert len(asked - expected) > 150
        found: set[tuple[str, str]] = set()
        with receiving(settings, database) as port:
            pairs = sorted(asked)
            for first in range(0, len(pairs), 128):
                found |= accepted(port, pairs[first : first + 128])
        assert found == expected

    def test_takes_the_first_transfer_syntax_of_its_own_list(self, settings: Settings, database: sa.Engine) -> None:
        (row,) = (row for row in table(ACCEPTED) if ComputedRadiographyImageStorage in uids(row["abstract syntax"]))
        own = uids(row["transfer syntaxes"])
        context = build_context(ComputedRadiographyImageStorage, own[::-1])
        with receiving(settings, database) as port:
            opened = AE("MODALITY").associate("127.0.0.1", port, [context], "CANDOR")
            assert opened.accepted_contexts[0].transfer_syntax == own[:1] == [ExplicitVRLittleEndian]
            opened.release()

    def test_says_of_itself_what_the_page_says(self, settings: Settings, database: sa.Engine) -> None:
        rules = {row[""]: row["receiver"] for row in table("4.2.1 Association policies")}
        with receiving(settings, database) as port, association(port) as opened:
            told = opened.acceptor
            assert str(told.maximum_length) == rules["largest PDU received, in bytes"]
            assert told.implementation_class_uid == rules["Implementation Class UID"]
            assert told.implementation_version_name == rules["Implementation Version Name"]
            assert told.asynchronous_operations == (1, 1)
        assert rules["associations at once"] == f"receive.max_associations, {Receive().max_associations}"

    def test_rejects_as_the_page_says(self, settings: Settings, database: sa.Engine) -> None:
        found = []
        with receiving(settings, database, max_associations=1) as port:
            with association(port, called="SOMEBODY") as opened:
                found.append(rejection(opened))
            with association(port), association(port) as opened:
                found.append(rejection(opened))
        rows = {tuple(int(row[name]) for name in ("result", "source", "diagnostic")): row for row in rejections()}
        assert "another AE title" in rows[found[0]]["when"]
        assert "receive.max_associations" in rows[found[1]]["when"]

    @pytest.mark.parametrize("status", ["0x0000", "0x0122", "0xA700", "0xA900", "0xC000", "0xC211"])
    def test_answers_a_store_as_the_page_says(
        self, settings: Settings, database: sa.Engine, monkeypatch: pytest.MonkeyPatch, status: str
    ) -> None:
        sent, changes = image(), {}
        if status == "0xA700":
            monkeypatch.setattr("gateway.store.spool.Spool.free_bytes", lambda _: -1)
        if status == "0xA900":
            monkeypatch.setattr("gateway.receive.receiver.read_head", _another)
        if status == "0xC000":
            sent, changes = image(PixelData=bytes(2 << 20)), {"max_object_mib": 1}
        if status == "0xC211":
            monkeypatch.setattr(Journal, "record", _fail)
        with receiving(settings, database, **changes) as port:
            answer = store_under_another_class(port, sent) if status == "0x0122" else store(port, sent)
        (row,) = (row for row in table(STORED) if row["status"] == status)
        assert hexadecimal(answer.Status) == status
        if "ErrorComment" in answer:
            assert str(answer.ErrorComment) in row["when"]
        else:
            assert status in ("0x0000", "0xC211")

    @pytest.mark.parametrize("role", [True, False])
    def test_accepts_storage_commitment_with_role_selection_and_without(
        self, settings: Settings, database: sa.Engine, role: bool
    ) -> None:
        (row,) = (row for row in table(ACCEPTED) if row["role of the peer"])
        assert uids(row["abstract syntax"]) == [StorageCommitmentPushModel]
        pair = (StorageCommitmentPushModel, ImplicitVRLittleEndian)
        with receiving(settings, database) as port:
            assert accepted(port, [pair], role) == {pair}

    def test_commits_to_nothing(self, settings: Settings, database: sa.Engine) -> None:
        pair = (StorageCommitmentPushModel, ImplicitVRLittleEndian)
        asked = Dataset()
        asked.TransactionUID, asked.ReferencedSOPSequence = "1.2.3", []
        with receiving(settings, database) as port, association(port, pair) as opened:
            answer, _ = opened.send_n_action(asked, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance)
        assert f"N-ACTION) is answered with `{hexadecimal(answer.Status)}`" in section(ACCEPTED)


class TestStatuses:
    def test_every_number_of_the_code_is_on_the_page(self) -> None:
        """Status codes are written with four digits; masks and lengths in the code are not."""
        page = PAGE.read_text()
        found = {number for path in CODE.rglob("*.py") for number in four_digits(path)}
        assert len(found) >= len(Status)
        assert {hexadecimal(int(number, 16)) for number in found} <= set(re.findall("0x[0-9A-F]{4}", page))

    def test_every_status_that_is_answered_is_listed_and_no_other(self) -> None:
        """By the names that the receiving modules use."""
        modules = ("receive/receiver.py", "receive/stream.py", "dimse/header.py", "deliver/commitment_request.py")
        used = {name for module in modules for name in re.findall(r"\bStatus\.([A-Z_]+)", (CODE / module).read_text())}
        answers = [table("4.2.3 Receiver: Verification"), table(STORED), table("4.2.7 Storage Commitment", 1)]
        rows = {row["status"] for rows in answers for row in rows} - {"0xC211"}
        assert rows == {Status[name].hexadecimal for name in used}

    @pytest.mark.parametrize("place", [0, -1])
    def test_an_archives_answer_has_the_consequence_that_is_listed(
        self, settings: Settings, database: sa.Engine, place: int
    ) -> None:
        """The first and the last status of each row, against an archive that answers it."""
        states = {
            "counts as stored": DeliveryState.SENT,
            "transient": DeliveryState.DUE,
            "permanent": DeliveryState.DEAD,
        }
        rows = [row for row in table("4.2.6 Sender: Storage") if row["status"].startswith("0x")]
        assert len(rows) > 15
        answered = [int(re.findall("0x[0-9A-F]{4}", row["status"])[place], 16) for row in rows]
        with running(Archive(statuses=[*answered])) as archive:
            sender = Sender(settings, database, Spool(Path(settings.spool)), Clock()).towards(archive)
            for number, row in enumerate(rows):
                study = f"1.2.3.{number}"
                sender.study(uid=study)
                uid = sender.result("sr", study=study)
                sender.deliver(study=study)
                (expected,) = (state for words, state in states.items() if words in row["what the node does"])
                assert sender.delivery(uid).state == expected.value, row["status"]


class TestSender:
    def test_proposes_what_is_listed_for_results_of_every_kind(self, tmp_path: Path) -> None:
        results = write_results(positive(), tmp_path)
        outgoing = [_outgoing(path) for path in results]
        asked = requested(contexts(outgoing))
        kinds = {uid for uid, _ in asked}
        expected = {pair for pair in listed(PROPOSED) if pair[0] in kinds}
        assert asked == expected
        assert len(kinds) == 5

    def test_proposes_what_is_listed_for_commitment(
        self, settings: Settings, database: sa.Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        proposals: list[PresentationContext] = []

        def noted(remote: Remote, calling: str, offered: Any, *more: Any) -> Any:
            proposals.extend(offered)
            return associated(remote, calling, offered, *more)

        monkeypatch.setattr("gateway.deliver.commitment_request.associated", noted)
        with running(Archive(commits=lambda *_: 0)) as archive:
            sender = Sender(settings, database, Spool(Path(settings.spool)), Clock()).towards(archive, commitment=True)
            sender.both()
            sender.deliver()
            assert Committer(database, sender.settings, sender.clock, patience_s=0.0).ask() == 1
        asked = {(str(each.abstract_syntax), str(syntax)) for each in proposals for syntax in each.transfer_syntax}
        assert asked == {pair for pair in listed(PROPOSED) if pair[0] == StorageCommitmentPushModel}

    def test_says_of_itself_what_the_page_says(self) -> None:
        rules = {row[""]: row["sender"] for row in table("4.2.1 Association policies")}
        seen: list[Any] = []
        requested([build_context("1.2.840.10008.1.1")], seen)
        (told,) = seen
        assert str(told.maximum_length) == rules["largest PDU received, in bytes"]
        assert told.implementation_class_uid == rules["Implementation Class UID"]
        assert told.implementation_version_name == rules["Implementation Version Name"]
        assert told.asynchronous_operations == (1, 1)
        assert not told.role_selection


class TestWhatElseIsSaid:
    def test_every_compressed_transfer_syntax_of_radiographs_that_is_accepted_has_a_decoder(self) -> None:
        radiographs = (ComputedRadiographyImageStorage, DigitalXRayImageStorageForPresentation)
        syntaxes = {UID(syntax) for sop_class, syntax in listed(ACCEPTED) if sop_class in radiographs}
        compressed = [syntax for syntax in syntaxes if syntax.is_encapsulated]
        assert len(compressed) > 10
        for syntax in compressed:
            assert get_decoder(syntax).is_available, syntax.name

    def test_every_character_set_that_is_listed_is_kept(self) -> None:
        """ISO_IR 6 alone is widened, to what holds it and our own words too."""
        single, extended = (re.findall(r"(?:ISO|GB)[ _\w]+", row["defined terms"]) for row in table(CHARACTER_SETS))
        assert (len(single), len(extended)) >= (15, 15)
        for names in [[name] for name in single] + [["", name] for name in extended]:
            source, target = Dataset(), Dataset()
            source.SpecificCharacterSet = names if len(names) > 1 else names[0]
            carry_character_set(target, source)
            expected = ["ISO_IR 100"] if names == ["ISO_IR 6"] else names
            assert all_values(target, "SpecificCharacterSet") == expected

    def test_tls_is_as_the_page_says(self, tmp_path: Path) -> None:
        authority = Authority(tmp_path)
        certificate, key, _ = authority.issue("node")
        tls = Tls(certificate=str(certificate), key=str(key), authorities=str(authority.file))
        said = section("7 Security")
        assert "TLS 1.2 or later" in said
        assert "certificates on both sides | always" in said
        for context in (server_context(tls), client_context(tls)):
            assert context.minimum_version is ssl.TLSVersion.TLSv1_2
            assert context.verify_mode is ssl.CERT_REQUIRED


def test_every_setting_of_the_network_is_named() -> None:
    named = section("4.4 Configuration")
    for block in (Receive, Destination):
        assert all(f"`{name}`" in named for name in block.model_fields)


def accepted(port: int, pairs: Any, role: bool = True) -> set[tuple[str, str]]:
    """Which of so many pairs the receiver accepts, each in a context of its own."""
    entity = AE("MODALITY")
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 60
    roles: list[Any] = [build_role(StorageCommitmentPushModel, scp_role=True)] if role else []
    proposals = [build_context(*pair) for pair in pairs]
    opened = entity.associate("127.0.0.1", port, proposals, "CANDOR", ext_neg=roles)
    found = {(str(each.abstract_syntax), str(each.transfer_syntax[0])) for each in opened.accepted_contexts}
    if opened.is_established:
        opened.release()
    return found


def requested(proposals: Any, seen: list[Any] | None = None) -> set[tuple[str, str]]:
    """What arrives at an archive when the sender opens an association with these proposals."""
    asked: list[Any] = [] if seen is None else seen
    entity = AE("ARCHIVE")
    entity.supported_contexts = [build_context(each.abstract_syntax, each.transfer_syntax) for each in proposals]
    server: Any = entity.start_server(
        ("127.0.0.1", 0),
        block=False,
        evt_handlers=[(evt.EVT_REQUESTED, lambda event: asked.append(event.assoc.requestor))],
    )
    port = server.socket.getsockname()[1]
    with associated(Remote("ARCHIVE", "127.0.0.1", port, None), "CANDOR", proposals, 10.0):
        (requestor,) = asked
        found = {(str(c.abstract_syntax), str(s)) for c in requestor.requested_contexts for s in c.transfer_syntax}
    server.shutdown()
    return found


def rejection(opened: Any) -> tuple[int, int, int]:
    answer = opened.acceptor.primitive
    return answer.result, answer.result_source, answer.diagnostic


def rejections() -> list[dict[str, str]]:
    return table("4.2.1 Association policies", 1)


def four_digits(path: Path) -> set[str]:
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text()).readline)
    return {token.string for token in tokens if re.fullmatch("0x[0-9A-Fa-f]{4}", token.string)}


def _outgoing(path: Path) -> Outgoing:
    dataset = dcmread(path, specific_tags=["SOPClassUID", "SOPInstanceUID"])
    return Outgoing(dataset.SOPInstanceUID, dataset.SOPClassUID, path, file_sha256(path))


def _another(path: Path) -> Head:
    return replace(read_head(path), sop_instance_uid="1.2.3")


def _fail(*_: Any) -> Dataset:
    raise RuntimeError("unforeseen")
