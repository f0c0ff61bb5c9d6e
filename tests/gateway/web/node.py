"""A node with studies in its tables and its spool, as the other processes leave them, for the tests of the page."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa
from fastapi.testclient import TestClient
from pydicom import Dataset, dcmread, dcmwrite

from candor.study.reasons import Reason
from candor.study.result import StudyAnswer
from candor.words.results_json import summarise
from gateway.settings import Settings
from gateway.store.database import upsert, writing
from gateway.store.result_objects import in_spool, to_row
from gateway.store.schema import audit_trail, deliveries, instances, objects, studies, study_instances, users
from gateway.store.spool import Spool
from gateway.store.tokens import Tokens
from gateway.web.access.accounts import Logins, User
from gateway.web.access.roles import Role
from gateway.web.actions import Acts
from gateway.web.app import create_app
from tests import cases
from tests.factory import radiograph_dataset

_TOKEN = re.compile(r'name="token" value="([0-9a-f]{64})"')


@dataclass
class Page:
    """The page of a node, and browsers that look at it."""

    settings: Settings
    database: sa.Engine
    spool: Spool
    tokens: Tokens
    now: Callable[[], float]
    calls: list[tuple[Any, ...]] = field(default_factory=list)

    def app(self, **web: Any) -> Any:
        """Make the application; ``web`` replaces settings of the page."""
        changed = self.settings.model_copy(update={"web": self.settings.web.model_copy(update=web)})
        acts = Acts(
            lambda *a: self._called("study", *a),
            lambda *a: int(self._called("resend", *a)),
            lambda: int(self._called("queue held")),
        )
        return create_app(
            changed, self.database, self.spool, self.tokens, self.now, acts, run_application=assess_by_hand
        )

    def _called(self, *arguments: Any) -> bool:
        self.calls.append(arguments)
        return True

    def browser(self, role: Role | None = None, address: str = "127.0.0.1", **web: Any) -> TestClient:
        """Open a browser at an address, logged in where a role is given."""
        client = TestClient(self.app(**web), follow_redirects=False, client=(address, 50000))
        if role is not None:
            client.cookies.set("candor", self.session(role))
        return client

    def session(self, role: Role) -> str:
        """Begin a login, without the cost of a password."""
        name = {Role.VIEWER: "vera", Role.OPERATOR: "otto"}[role]
        with writing(self.database) as connection:
            row = {"name": name, "password_hash": "none", "role": role.value}
            connection.execute(upsert(self.database, users, row))
        return Logins(self.database, self.now, 3600).begin(User(name, role))

    def trail(self) -> list[tuple[str, str, str]]:
        """Who did what to what, in order."""
        query = sa.select(audit_trail.c.who, audit_trail.c.what, audit_trail.c.subject).order_by(audit_trail.c.id)
        with self.database.connect() as connection:
            return [tuple(row) for row in connection.execute(query)]

    def add_row(self, uid: str, **values: Any) -> str:
        """Put a version of a study into the tables; returns its token."""
        now = self.now()
        row = {
            "study_instance_uid": uid,
            "version": 1,
            "token": self.tokens.token(uid),
            "state": "waiting",
            "reason": "",
            "priority": 10,
            "first_image": now - 60,
            "last_image": now - 50,
            "queued": now - 40,
            "deadline": now + 600,
            "images": 1,
        }
        with self.database.begin() as connection:
            connection.execute(studies.insert().values(**(row | values)))
        return self.tokens.token(uid)

    def add_study(self, seed: str = "1", answer: StudyAnswer | None = None, **attributes: Any) -> str:
        """Put an assessed study with its files there; returns its token. ``attributes`` go into the image."""
        source = radiograph_dataset(seed=seed, **attributes)
        uid, now = str(source.StudyInstanceUID), self.now()
        token = self.tokens.token(uid)
        stored = self.spool.store(file_bytes(source, self.spool.root / "one.dcm"))
        folder = self.spool.lay_out(token, 1, [stored.file])
        output = self.spool.results(token, 1) / "1"
        case = results_of(source, folder / "001.dcm", output, answer)
        found = dict.fromkeys(("Mass", "Nodule"), "deferred") | {"Effusion": "present", "Hernia": "absent"}
        self.add_row(
            uid,
            state="delivering",
            disposition="deferred",
            findings=found,
            assessed=now - 30,
            started=now - 35,
            bundle_sha256="ab" * 32,
            mode="live",
            results=output.relative_to(self.spool.root).as_posix(),
        )
        with self.database.begin() as connection:
            instance = {
                "study_instance_uid": uid,
                "series_instance_uid": str(source.SeriesInstanceUID),
                "sop_class_uid": str(source.SOPClassUID),
                "sop_instance_uid": str(source.SOPInstanceUID),
                "sha256": stored.sha256,
                "file": stored.file,
                "bytes": stored.bytes,
                "received": now - 50,
                "calling_ae_title": "XRAY1",
                "called_ae_title": "CANDOR",
                "peer": "192.0.2.1",
                "priority": 10,
                "state": "kept",
            }
            number = connection.execute(instances.insert().values(**instance)).inserted_primary_key[0]
            link = {"study_instance_uid": uid, "version": 1, "instance": number}
            connection.execute(study_instances.insert().values(**link))
            for written in case.written:
                of_study = {"study_instance_uid": uid, "version": 1, "made": now - 30}
                row = to_row(in_spool(written, output, self.spool.root)) | of_study
                connection.execute(objects.insert().values(row))
        return token

    def add_delivery(self, token: str, destination: str, state: str, reason: str = "") -> None:
        """Put the first object of a study on its way to a destination."""
        query = (
            sa.select(objects.c.sop_instance_uid)
            .join(studies, studies.c.study_instance_uid == objects.c.study_instance_uid)
            .where(studies.c.token == token)
            .order_by(objects.c.kind.desc(), objects.c.sop_instance_uid)
            .limit(1)
        )
        with self.database.begin() as connection:
            row = {"sop_instance_uid": connection.execute(query).scalar_one(), "destination": destination}
            values = {"state": state, "tries": 2, "due": self.now() - 100, "reason": reason}
            connection.execute(deliveries.insert().values(**row, **values))


def file_bytes(dataset: Dataset, path: Path) -> bytes:
    """A data set as a Part 10 file."""
    dcmwrite(path, dataset, enforce_file_format=True)
    data = path.read_bytes()
    path.unlink()
    return data


def results_of(source: Dataset, image: Path, output: Path, answer: StudyAnswer | None = None) -> Any:
    """Write what the application would have written about an image."""
    assessed = cases.assessed(source, image.name)
    lateral = radiograph_dataset(seed="lateral", study="x", view="LL", StudyInstanceUID=source.StudyInstanceUID)
    case = cases.case_of(assessed, cases.refused(lateral, Reason.NOT_FRONTAL, name="002.dcm"))
    case.answer = answer
    cases.write_results(case, output, overlays=3)
    (output / "results.json").write_bytes(summarise([case], cases.PROVENANCE).to_json())
    return case


def assess_by_hand(source: Path, output: Path) -> None:
    """Stand in for the application: answers about any image that can be read."""
    image = source / "image.dcm"
    results_of(dcmread(image), image, output)


def posted(client: TestClient, form_page: str, path: str, **fields: Any) -> httpx.Response:
    """Send a form with the token of the page that it stands on."""
    found = _TOKEN.search(client.get(form_page).text)
    assert found, f"no form on {form_page}"
    files = {name: value for name, value in fields.items() if isinstance(value, tuple)}
    data = {name: value for name, value in fields.items() if name not in files}
    return client.post(path, data={"token": found[1], **data}, files=files or None)
