"""The whole loop with real peers: DCMTK's storescu sends, Orthanc takes the results and commits to them."""

from __future__ import annotations

import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from pydicom import Dataset, dcmread
from pydicom.uid import Comprehensive3DSRStorage, SecondaryCaptureImageStorage

from benchmarks.node.crash import Node, accepts, wait_for
from gateway.store.schema import deliveries, studies
from gateway.store.states import DeliveryState, StudyState
from tests.conftest import ROOT
from tests.e2e.orthanc import AE_TITLE, Orthanc, skip_without, value
from tests.factory import chest_like, radiograph_dataset
from tests.gateway.network import Authority

STUDIES = 20
IMAGES = 24
PATIENT = "CANARY^{number}"


def instances() -> list[Dataset]:
    """24 radiographs of 20 studies: the first four have a second view."""
    made = []
    for number in range(IMAGES):
        study = number % STUDIES
        dataset = radiograph_dataset(
            chest_like(seed=number),
            seed=f"loop-{number}",
            study=f"loop-{study}",
            series=f"loop-{number}",
            view="PA" if number < STUDIES else "AP",
            PatientName=PATIENT.format(number=study),
            PatientID=f"CANARYID{study}",
            AccessionNumber=f"CANARYACC{study}",
        )
        made.append(dataset)
    return made


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("sent")
    paths = []
    for number, dataset in enumerate(instances()):
        paths.append(folder / f"{number:02}.dcm")
        dataset.save_as(paths[-1], enforce_file_format=True)
    return paths


@pytest.fixture(scope="module", params=["plain", "tls"])
def loop(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, sent: list[Path]
) -> Iterator[tuple[Node, Orthanc]]:
    """The node, logging all it can, and Orthanc, after all studies were sent and everything is committed."""
    skip_without("storescu", "Orthanc")
    folder = tmp_path_factory.mktemp("loop")
    node = Node(folder / "node", ROOT / "models", 1, log_level="debug", studies={"quiet_s": 5.0})
    peer = {"name": "pacs", "ae_title": AE_TITLE, "host": "127.0.0.1", "commitment": True}
    wire: list[str] = []
    configuration: dict[str, object] = {}
    if request.param == "tls":
        authority = Authority(folder)
        keys = {name: _keys(authority, name) for name in ("node", "orthanc", "modality")}
        node.settings["receive"]["tls"] = peer["tls"] = keys["node"]
        configuration = _orthanc_tls(keys["orthanc"])
        wire = ["+tls", keys["modality"]["key"], keys["modality"]["certificate"]]
        wire += ["+cf", keys["modality"]["authorities"]]
    orthanc = Orthanc(folder / "orthanc", node.port, **configuration)
    node.settings["destinations"] = [peer | {"port": orthanc.port}]
    node.settings["receive"]["callers"] = [{"ae_title": "MODALITY"}, {"ae_title": AE_TITLE}]
    node.write()
    with orthanc.running():
        node.command("live", "--reason", "a test", "--foreign-fit", "a test")
        node.start()
        try:
            wait_for(lambda: accepts(node.port), 60.0, "the receiver")
            assert storescu(node.port, sent, *wire, calling="STRANGER").returncode != 0
            if wire:
                assert storescu(node.port, sent).returncode != 0, "without TLS"
                assert storescu(node.port, sent, "+tla", *wire[-2:]).returncode != 0, "without a certificate"
            done = storescu(node.port, sent, *wire)
            assert done.returncode == 0, done.stdout + done.stderr
            wait_for(lambda: finished(node), 240.0, "all studies")
            yield node, orthanc
        finally:
            assert node.stop() == 0


def _keys(authority: Authority, name: str) -> dict[str, str]:
    certificate, key, _ = authority.issue(name)
    return {"certificate": str(certificate), "key": str(key), "authorities": str(authority.file)}


def _orthanc_tls(keys: dict[str, str]) -> dict[str, object]:
    return {
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": keys["certificate"],
        "DicomTlsPrivateKey": keys["key"],
        "DicomTlsTrustedCertificates": keys["authorities"],
    }


def storescu(
    port: int, paths: list[Path], *options: str, calling: str = "MODALITY"
) -> subprocess.CompletedProcess[str]:
    """Send with DCMTK."""
    wire = ["storescu", "-v", "-aet", calling, "-aec", "CANDOR", *options, "localhost", str(port)]
    return subprocess.run([*wire, *map(str, paths)], capture_output=True, text=True, check=False, timeout=120)


def finished(node: Node) -> bool:
    """Whether every study is delivered and every object committed."""
    with node.database().connect() as connection:
        states = Counter(connection.execute(sa.select(studies.c.state)).scalars())
        objects = Counter(connection.execute(sa.select(deliveries.c.state)).scalars())
    return states == {StudyState.DELIVERED.value: STUDIES} and set(objects) == {DeliveryState.COMMITTED.value}


@pytest.mark.full
def test_every_study_comes_back_with_report_and_overlays(loop: tuple[Node, Orthanc], sent: list[Path]) -> None:
    _, orthanc = loop
    sources: dict[str, list[Dataset]] = defaultdict(list)
    for path in sent:
        dataset = dcmread(path)
        sources[str(dataset.StudyInstanceUID)].append(dataset)
    assert len(sources) == STUDIES
    for study, images in sources.items():
        results = orthanc.study(study)
        kinds = Counter(value(result, "00080016") for result in results)
        assert kinds[Comprehensive3DSRStorage] == 1
        assert kinds[SecondaryCaptureImageStorage] >= 1
        for result in results:
            assert value(result, "00100010") == str(images[0].PatientName)
            assert value(result, "00100020") == images[0].PatientID
            assert value(result, "00080050") == images[0].AccessionNumber
        (report,) = [result for result in results if value(result, "00080016") == Comprehensive3DSRStorage]
        named = {
            value(instance, "00081155")
            for evidence in report["0040A375"]["Value"]
            for series in evidence["00081115"]["Value"]
            for instance in series["00081199"]["Value"]
        }
        assert {str(image.SOPInstanceUID) for image in images} <= named


@pytest.mark.full
def test_no_line_of_the_log_and_no_metric_names_the_patient(loop: tuple[Node, Orthanc], sent: list[Path]) -> None:
    node, _ = loop
    seen = node.log() + metrics(node)
    assert "study delivered" in seen
    assert "candor_" in seen
    assert "CANARY" not in seen
    for path in sent:
        dataset = dcmread(path)
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "PatientBirthDate"):
            assert not (value_of := str(dataset.get(keyword, ""))) or value_of not in seen


def metrics(node: Node) -> str:
    """What Prometheus would be told."""
    password = "a long enough password"
    node.command("user", "add", "prometheus", "--role", "viewer", said=f"{password}\n{password}\n")
    answer = httpx.get(f"http://127.0.0.1:{node.page}/metrics", auth=("prometheus", password), timeout=30)
    answer.raise_for_status()
    return answer.text
