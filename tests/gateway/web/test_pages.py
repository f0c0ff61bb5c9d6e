"""What the pages show."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from candor.study.result import AnyAbnormality
from gateway.store.alarms import AlarmKind, raise_alarm
from gateway.store.counters import count
from gateway.store.database import upsert
from gateway.store.mode import foreign_fit_of, set_mode
from gateway.store.schema import alarms, destinations, node_state, studies
from gateway.store.states import Mode
from gateway.store.study import Study
from gateway.watch.heartbeats import Heartbeat, Heartbeats
from gateway.watch.kept_alarms import KeptAlarms
from gateway.web.access.roles import Role
from gateway.web.actions import acts_of
from gateway.web.app import create_app
from gateway.web.pages import machines
from tests.cases import study_answer
from tests.gateway.conftest import Clock
from tests.gateway.web.node import Page, posted

NOTICE = "Research use only, not for diagnosis"


def test_list_names_states_findings_reasons_and_senders(page: Page) -> None:
    page.add_study()
    page.add_row("1.2.9", state="failed", reason="it broke the worker 3 times", last_image=page.now() - 7300)
    text = page.browser(Role.VIEWER).get("/studies").text
    for words in ("delivering", "Pleural effusion", "Mass, Nodule", "XRAY1", "failed", "it broke the worker 3 times"):
        assert words in text
    assert "2 h ago" in text
    assert NOTICE in text


def test_list_is_sorted_by_priority_and_what_has_none_does_not_sink(page: Page) -> None:
    for number, (priority, age) in enumerate([(12.2, 10), (98.6, 3600), (None, 7200), (50.0, 20), (99.9, 90_000)]):
        page.add_row(f"1.2.{number}", worklist_priority=priority, last_image=page.now() - age)
    text = page.browser(Role.VIEWER).get("/studies").text
    shown = re.findall(r'data-name="Priority" class="number">(?:<span class="faint">)?(\w+)', text)
    assert shown == ["none", "99", "50", "12", "100"]  # the last is of the day before


def test_list_says_what_is_likely_and_never_that_a_study_is_normal(page: Page) -> None:
    page.add_row("1.2.1", any_abnormality="ruled out", worklist_priority=3.0, look_first=[])
    page.add_row("1.2.2", any_abnormality="not ruled out", worklist_priority=80.0, look_first=["Effusion", "Mass"])
    page.add_row("1.2.3", any_abnormality="not judged", worklist_priority=75.0, look_first=[])
    page.add_row("1.2.4")
    text = page.browser(Role.VIEWER).get("/studies").text
    for words in ("unremarkable by rule-out", "abnormal?", "not judged", "Look first: Pleural effusion, Mass"):
        assert words in text
    assert text.count("nothing said") == 1
    assert "does not mean normal" in text


def test_study_page_shows_the_answer_for_the_study(page: Page) -> None:
    assert "of 100" not in page.browser(Role.VIEWER).get(f"/studies/{page.add_study('2')}").text
    token = page.add_study("3", answer=study_answer())
    text = page.browser(Role.VIEWER).get(f"/studies/{token}").text
    assert "priority 87 of 100" in text
    assert "Look first: Mass</strong>, odds 4.5 times those at the assumed prevalence: 20% against 5.2%" in text
    token = page.add_study("4", answer=study_answer(AnyAbnormality.RULED_OUT, look_first=()))
    assert "This does not mean normal" in page.browser(Role.VIEWER).get(f"/studies/{token}").text


@pytest.mark.parametrize(
    ("show", "there"), [("all", 2), ("open", 1), ("deferred", 0), ("failed", 1), ("not-assessed", 0)]
)
def test_list_can_be_narrowed(page: Page, show: str, there: int) -> None:
    page.add_row("1.2.1", state="running")
    page.add_row("1.2.2", state="failed")
    text = page.browser(Role.VIEWER).get(f"/studies?show={show}").text
    assert text.count('data-name="State"') == there


def test_list_shows_the_newest_version_alone_and_goes_on_over_pages(page: Page) -> None:
    page.add_row("1.2.1")
    page.add_row("1.2.1", version=2, last_image=page.now())
    for number in range(50):
        page.add_row(f"1.3.{number}", last_image=page.now() - 100 - number)
    client = page.browser(Role.VIEWER)
    first, second = client.get("/studies").text, client.get("/studies?page=2").text
    assert first.count('data-name="State"') == 50
    assert "version 2" in first
    assert "page=2" in first
    assert second.count('data-name="State"') == 1
    assert "page=1" in second


def test_study_page_shows_patient_pictures_answers_and_why(page: Page) -> None:
    token = page.add_study()
    page.add_delivery(token, "pacs", "due")
    text = page.browser(Role.VIEWER).get(f"/studies/{token}").text
    for words in ("Test, 1", "T-1", "Pleural thickening", "81%", "12%", "5.0%", "left lower zone", "Report", "pacs"):
        assert words in text, words
    assert "Neither likely nor unlikely enough to answer" in text
    assert "Not a frontal view" in text
    assert "calibrated on 3000 images of 900 patients" in text
    assert "misses at most 10 % of its positives" in text
    assert text.count("<img ") == 4  # the image and three overlays
    for words in ("Outlines", "gsps-1.dcm", "Heatmaps as numbers", "pm-1.dcm", "Key objects", "ko-deferred.dcm"):
        assert words in text, words
    assert NOTICE in text


def test_pictures_are_the_image_and_its_overlays(page: Page) -> None:
    token = page.add_study()
    client = page.browser(Role.VIEWER)
    image = client.get(f"/studies/{token}/1/image/0.png")
    grey = cv2.imdecode(np.frombuffer(image.content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert image.headers["content-type"] == "image/png"
    assert grey.shape == (300, 280)
    assert grey[150, 84] < grey[5, 140]  # the lung is darker than the mediastinum's upper end
    overlay = cv2.imdecode(
        np.frombuffer(client.get(f"/studies/{token}/1/overlay/1.png").content, np.uint8), cv2.IMREAD_UNCHANGED
    )
    assert overlay.ndim == 3
    assert (overlay.max(axis=2).astype(int) - overlay.min(axis=2)).max() > 50  # it has colours


@pytest.mark.parametrize("path", ["image/1.png", "overlay/0.png", "overlay/4.png", "overlay/99.png", "other/0.png"])
def test_pictures_that_are_not_there(page: Page, path: str) -> None:
    token = page.add_study()
    assert page.browser(Role.VIEWER).get(f"/studies/{token}/1/{path}").status_code == 404


def test_undecodable_files_give_no_picture(page: Page) -> None:
    token = page.add_study()
    folder = page.spool.folder(token, 1)
    for path in [*folder.glob("in/*.dcm"), *folder.glob("out/1/sc-*.dcm")]:
        path.unlink()
        path.write_bytes(b"garbage")
    client = page.browser(Role.VIEWER)
    assert client.get(f"/studies/{token}/1/image/0.png").status_code == 404
    assert client.get(f"/studies/{token}/1/overlay/0.png").status_code == 404


def test_large_pictures_are_shrunk(page: Page) -> None:
    pixels = np.tile(np.arange(2600, dtype=np.uint16), (1400, 1))
    token = page.add_study(pixels=pixels)
    content = page.browser(Role.VIEWER).get(f"/studies/{token}/1/image/0.png").content
    assert cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED).shape == (689, 1280)


def test_study_pages_without_results(page: Page) -> None:
    waiting = page.add_row("1.2.1")
    failed = page.add_row("1.2.2", state="failed", reason="it broke the worker 3 times", tries=3)
    purged = page.add_row("1.2.3", state="delivered", purged=page.now(), results="studies/gone")
    lost = page.add_row("1.2.4", state="stored", results="studies/lost/1/out/1")
    client = page.browser(Role.VIEWER)
    assert "No result yet. 1 image so far." in client.get(f"/studies/{waiting}").text
    assert "it broke the worker 3 times" in client.get(f"/studies/{failed}").text
    assert "were deleted" in client.get(f"/studies/{purged}").text
    assert "nothing to show" in client.get(f"/studies/{lost}").text


def test_versions_of_a_study_are_linked(page: Page) -> None:
    token = page.add_row("1.2.1", state="delivered")
    page.add_row("1.2.1", version=2)
    client = page.browser(Role.VIEWER)
    assert f'href="/studies/{token}/1"' in client.get(f"/studies/{token}").text
    assert f'href="/studies/{token}/2"' in client.get(f"/studies/{token}/1").text
    assert client.get(f"/studies/{token}/3").status_code == 404


def test_a_study_is_found_by_its_uid_and_the_url_does_not_have_it(page: Page) -> None:
    token = page.add_row("1.2.1")
    client = page.browser(Role.VIEWER)
    assert posted(client, "/studies", "/find", uid=" 1.2.1 ").headers["location"] == f"/studies/{token}"
    assert posted(client, "/studies", "/find", uid="1.2.2").status_code == 404
    assert posted(client, "/studies", "/find", uid="no uid").status_code == 404


def test_node_page_shows_queue_throughput_drift_and_destinations(page: Page, clock: Clock) -> None:
    page.add_study()
    page.add_row("1.2.8", queued=clock() - 2 * 3600, last_image=clock() - 2 * 3600)
    page.add_row("1.2.9", assessed=clock() - 86400, findings={"Mass": "deferred", "Hernia": "absent"})
    baseline = {"bundle_sha256": "ab" * 32, "share": 0.4, "studies": 200}
    with page.database.begin() as connection:
        row = {"key": "drift_baseline", "value": json.dumps(baseline)}
        connection.execute(upsert(page.database, node_state, row, "value"))
        values = {"name": "pacs", "failures": 3, "open_until": clock() + 20, "last_failure": clock() - 5}
        connection.execute(destinations.insert().values(**values, reason="no answer"))
    text = page.browser(Role.VIEWER).get("/node").text
    assert "down" in text
    assert "no answer" in text
    assert "192.0.2.7:104" in text
    assert "Baseline 40%" in text
    assert ": 50%" in text  # yesterday's share: one of two
    assert "20 s" in text  # from the last image to the result
    assert text.count("<svg") == 3
    assert "1 received" in text
    assert "1 waiting" in text


def test_node_page_shows_which_values_were_refused_or_are_not_known(page: Page) -> None:
    assert "None so far." in page.browser(Role.VIEWER).get("/node").text
    with page.database.begin() as connection:
        count(connection, "images_refused_total", 3, reason="NOTCHEST", value="SKULL AP")
        count(connection, "values_unknown_total", 1, reason="VIEWBLANK", value="PORTABLE X")
    text = " ".join(page.browser(Role.VIEWER).get("/node").text.split())
    refused, unknown = text.index("SKULL AP"), text.index("PORTABLE X")
    assert refused < unknown, "the most frequent first"
    assert "Another body part than the chest" in text[:refused]
    assert "not assessed" in text[refused:unknown]
    assert "counts as not stated" in text[unknown:]


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"failures": 0, "last_success": 1.0}, "up"),
        ({"failures": 1, "last_success": 1.0}, "failing"),
        ({"failures": 0}, "unused"),
    ],
)
def test_health_of_a_destination(page: Page, values: dict[str, float], word: str) -> None:
    with page.database.begin() as connection:
        connection.execute(destinations.insert().values(name="pacs", open_until=0.0, reason="", **values))
    assert f">{word}</span>" in page.browser(Role.VIEWER).get("/node").text


def test_open_alarms_stand_on_every_page_until_an_operator_clears_them(page: Page) -> None:
    token = page.add_row("1.2.1")
    for number in range(6):
        raise_alarm(page.database, AlarmKind.DEAD_LETTER, f"pacs{number}", "refused <for> good", page.now())
    raise_alarm(page.database, AlarmKind.NO_RESULT, token, "past its deadline", page.now() + 1)
    client = page.browser(Role.OPERATOR)
    for path in ("/studies", "/node", "/trail", "/dead-letter"):
        text = client.get(path).text
        assert "7 open alarms" in text
        assert "refused &lt;for&gt; good" in text
        assert f'href="/studies/{token}"' in text
        assert "and 2 more" in text
    assert posted(client, "/node", "/alarms/7").status_code == 303
    assert "6 open alarms" in client.get("/node").text
    assert ("otto", "clear alarm", token) in page.trail()
    assert posted(client, "/node", "/alarms/7").status_code == 404
    with page.database.connect() as connection:
        assert connection.execute(sa.select(alarms.c.cleared).where(alarms.c.id == 7)).scalar() == page.now()


def test_dead_letter_is_replayed_by_operators(page: Page) -> None:
    token = page.add_study()
    page.add_delivery(token, "pacs", "dead", "refused: not authorized (0x0124)")
    parked = page.add_row("1.2.9", state="failed", reason="it broke the worker 3 times", finished=page.now())
    client = page.browser(Role.OPERATOR)
    text = client.get("/dead-letter").text
    assert "refused: not authorized (0x0124)" in text
    assert "it broke the worker 3 times" in text
    assert posted(client, "/dead-letter", "/dead-letter", study=token, version="1", to="pacs").status_code == 303
    assert posted(client, "/dead-letter", "/dead-letter", study=parked, version="1", to="").status_code == 303
    assert [call[0] for call in page.calls] == ["resend", "study"]
    assert page.calls[0][2:] == ("pacs", "otto")
    assert page.calls[1][1:] == (Study("1.2.9", 1), "otto")
    assert posted(client, "/dead-letter", "/dead-letter", study=token, version="9", to="").status_code == 404
    assert posted(client, "/dead-letter", "/dead-letter", study=token, version="x", to="").status_code == 404


def test_going_live_needs_a_reason_and_a_confirmation_and_stands_in_the_trail(page: Page) -> None:
    client = page.browser(Role.OPERATOR)
    assert "Shadow: nothing is delivered" in client.get("/mode").text
    for fields in (
        {"mode": "live", "reason": "audited"},
        {"mode": "live", "confirmed": "yes"},
        {"mode": "loud", "reason": "audited", "confirmed": "yes"},
    ):
        assert posted(client, "/mode", "/mode", **fields).status_code == 400
    assert "mode live" not in [what for _, what, _ in page.trail()]
    assert posted(client, "/mode", "/mode", mode="live", reason="audited", confirmed="yes").status_code == 303
    assert page.calls == [("queue held",)]
    assert "Back to shadow" in client.get("/mode").text
    assert posted(client, "/mode", "/mode", mode="shadow", reason="drift", confirmed="yes").status_code == 303
    assert page.calls == [("queue held",)]
    assert [what for _, what, _ in page.trail() if what.startswith("mode")] == ["mode live", "mode shadow"]
    assert "drift" in client.get("/trail").text


def test_going_live_with_a_fit_to_other_patients_needs_a_reason_for_that_too(page: Page) -> None:
    page.settings = page.settings.model_copy(update={"site": "St Elsewhere"})
    client = page.browser(Role.OPERATOR)
    form = client.get("/mode").text
    assert "was fitted to NIH ChestX-ray14, not to this site (St Elsewhere)" in form
    assert 'name="foreign_fit"' in form
    fields = {"mode": "live", "reason": "audited", "confirmed": "yes"}
    answer = posted(client, "/mode", "/mode", **fields)
    assert answer.status_code == 400
    assert "--foreign-fit REASON" in answer.text
    assert posted(client, "/mode", "/mode", **fields, foreign_fit="a trial").status_code == 303
    with page.database.connect() as connection:
        fit = foreign_fit_of(connection)
    assert (fit.fitted_to, fit.reason) == ("NIH ChestX-ray14", "a trial")
    assert "foreign fit" in [what for _, what, _ in page.trail()]
    assert 'name="foreign_fit"' not in client.get("/mode").text


def test_the_page_goes_back_to_shadow_without_a_bundle(page: Page, tmp_path: Path) -> None:
    set_mode(page.database, Mode.LIVE, "ann", page.now())
    work = page.settings.work.model_copy(update={"models": str(tmp_path / "nowhere")})
    page.settings = page.settings.model_copy(update={"work": work})
    client = page.browser(Role.OPERATOR)
    fields = {"reason": "drift", "confirmed": "yes"}
    assert posted(client, "/mode", "/mode", mode="shadow", **fields).status_code == 303
    assert "is not a folder" in client.get("/mode").text
    assert posted(client, "/mode", "/mode", mode="live", **fields).status_code == 400


def test_going_live_without_a_destination_is_refused(page: Page) -> None:
    page.settings = page.settings.model_copy(update={"destinations": ()})
    answer = posted(page.browser(Role.OPERATOR), "/mode", "/mode", mode="live", reason="r", confirmed="yes")
    assert answer.status_code == 400
    assert "no destination" in answer.text


def test_every_look_at_a_study_is_in_the_trail(page: Page, clock: Clock) -> None:
    token = page.add_study()
    client = page.browser(Role.VIEWER)
    look = ("vera", "view", token)
    client.get(f"/studies/{token}/1/overlay/0.png")
    assert page.trail().count(look) == 1
    client.get(f"/studies/{token}/1/overlay/1.png")  # of the same look
    assert page.trail().count(look) == 1
    client.get(f"/studies/{token}")
    assert page.trail().count(look) == 2
    clock.pass_s(9 * 3600)
    client.cookies.set("candor", page.session(Role.VIEWER))
    client.get(f"/studies/{token}/1/overlay/1.png")
    assert page.trail().count(look) == 3
    assert token[:8] in page.browser(Role.OPERATOR).get("/trail").text


def test_the_page_draws_what_the_style_sheet_knows(page: Page) -> None:
    style = page.browser().get("/static/candor.css")
    assert style.headers["content-type"].startswith("text/css")
    assert "url(" not in style.text  # nothing is loaded from anywhere
    assert "@import" not in style.text
    for tone_ in ("good", "busy", "warn", "alert", "bad"):
        assert f".pill.{tone_} " in style.text


def test_unknown_studies_are_not_looked_at(page: Page) -> None:
    client = page.browser(Role.VIEWER)
    assert client.get(f"/studies/{'0' * 24}").status_code == 404
    assert "view" not in [what for _, what, _ in page.trail()]


def test_the_trail_goes_on_over_pages(page: Page) -> None:
    token = page.add_row("1.2.1")
    client = page.browser(Role.OPERATOR)
    for _ in range(51):
        client.get(f"/studies/{token}")
    assert "page=2" in client.get("/trail").text
    assert "page=1" in client.get("/trail?page=2").text


def test_a_study_replaced_by_nothing_new_still_shows_the_earlier_results(page: Page) -> None:
    token = page.add_study()
    with page.database.connect() as connection:
        row = connection.execute(sa.select(studies)).one()
    page.add_row(row.study_instance_uid, version=2, state="stored", results=row.results, findings=row.findings)
    client = page.browser(Role.VIEWER)
    assert client.get(f"/studies/{token}").text.count("<img ") == 4
    assert client.get(f"/studies/{token}/2/image/0.png").status_code == 200


def test_the_patient_is_read_from_the_first_file_that_can_be(page: Page) -> None:
    token = page.add_study()
    page.spool.path(next(page.spool.instances())).unlink()
    client = page.browser(Role.VIEWER)
    text = client.get(f"/studies/{token}").text
    assert "Its images were deleted" in text
    assert "T-1" not in text
    assert client.get("/").headers["location"] == "/studies"


def test_without_acts_the_dead_letter_can_only_be_looked_at(page: Page) -> None:
    page.add_row("1.2.9", state="failed", reason="it broke the worker 3 times", finished=page.now())
    app = create_app(page.settings, page.database, page.spool, page.tokens, page.now)
    client = TestClient(app, follow_redirects=False)
    client.cookies.set("candor", page.session(Role.OPERATOR))
    assert "Replay" not in client.get("/dead-letter").text
    answer = posted(client, "/mode", "/dead-letter", study="0" * 24, version="1", to="")
    assert answer.status_code == 503


def test_results_of_another_study_are_not_shown(page: Page) -> None:
    token = page.add_study()
    with page.database.begin() as connection:
        connection.execute(studies.update().values(study_instance_uid="1.2.3"))
    assert "nothing to show" in page.browser(Role.VIEWER).get(f"/studies/{token}").text


def test_a_node_without_its_database_or_spool_is_alive_and_not_ready(page: Page) -> None:
    client = page.browser()
    assert client.get("/readyz").json() == {"ready": True}
    broken = sa.create_engine("sqlite:////nowhere/at/all.db")
    app = create_app(page.settings, broken, page.spool, page.tokens, page.now)
    client = TestClient(app)
    assert client.get("/healthz").json() == {"alive": True}
    assert (client.get("/readyz").status_code, client.get("/readyz").json()) == (503, {"ready": False})


def test_a_node_that_hangs_or_stands_is_not_ready_and_in_the_end_not_alive(
    page: Page, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machines, "Heartbeats", lambda spool: Heartbeats(spool, clock))
    client = TestClient(create_app(page.settings, page.database, page.spool, page.tokens, page.now))
    Heartbeat(page.spool.root, "upkeep", "deadlines", 120)
    kept = KeptAlarms(page.spool.root)
    assert client.get("/readyz").json() == {"ready": True}
    kept.keep(AlarmKind.STANDSTILL, "", "nothing moves", page.now(), goes_on=True)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"ready": False, "alarms": ["standstill"]})
    kept.end(AlarmKind.STANDSTILL, "")
    clock.pass_s(121)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"ready": False, "hangs": ["upkeep deadlines"]})
    assert client.get("/healthz").json() == {"alive": True}
    clock.pass_s(120)
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (503, {"alive": False, "hangs": ["upkeep deadlines"]})


def test_acts_queue_again_and_name_the_operator(page: Page) -> None:
    queued: list[str] = []
    jobs = SimpleNamespace(
        enqueue_study=lambda *a, **k: queued.append("study"), enqueue_delivery=lambda *a, **k: queued.append("delivery")
    )
    acts = acts_of(page.database, page.settings, jobs, page.now)  # type: ignore[arg-type]
    page.add_row("1.2.9", state="failed", reason="it broke the worker 3 times", finished=page.now())
    token = page.add_study()
    page.add_delivery(token, "pacs", "dead", "refused")
    with page.database.connect() as connection:
        query = sa.select(studies.c.study_instance_uid).where(studies.c.token == token)
        uid = connection.execute(query).scalar_one()
    assert acts.replay_study(Study("1.2.9", 1), "otto")
    assert acts.resend(uid, "pacs", "otto") == 1
    assert acts.queue_held() == 1
    assert queued == ["study", "delivery", "delivery"]
    assert [who for who, _, _ in page.trail()] == ["otto", "otto"]


def test_an_alarm_of_any_number_can_be_cleared(page: Page) -> None:
    """A database has had more than ten thousand alarms after a year or two."""
    page.add_study()
    row = {"kind": "process", "subject": "jobs", "text": "away", "raised": page.now()}
    client = page.browser(Role.OPERATOR)
    for number in (10_001, 2**31 - 1):
        with page.database.begin() as connection:
            connection.execute(alarms.insert().values(id=number, **row))
        assert posted(client, "/studies", f"/alarms/{number}").status_code == 303, number
    assert "open alarm" not in client.get("/studies").text


def test_a_version_of_any_number_is_shown(page: Page) -> None:
    token = page.add_row("1.2.1", version=10_001)
    assert page.browser(Role.VIEWER).get(f"/studies/{token}/10001").status_code == 200
    client = page.browser(Role.OPERATOR)
    assert posted(client, "/studies", "/dead-letter", study=token, version="10001").status_code == 303
    assert page.calls[0][1] == Study("1.2.1", 10_001)


@pytest.mark.parametrize("number", [2**31, 2**63, 10**30, -1])
def test_a_number_that_no_table_holds_names_nothing(page: Page, number: int) -> None:
    """PostgreSQL would answer with an error."""
    token = page.add_study()
    client = page.browser(Role.OPERATOR)
    for path in (f"/studies/{token}/{number}", f"/studies/{token}/{number}/image/0.png", f"/trail?page={number}"):
        assert client.get(path).status_code == 404, path
    assert posted(client, "/studies", f"/alarms/{number}").status_code == 404
    assert posted(client, "/studies", "/dead-letter", study=token, version=str(number)).status_code == 404


def test_of_very_many_images_the_first_are_shown(page: Page) -> None:
    """An ordinary CT that was routed to the node has some thousands."""
    token = page.add_study()
    file = page.spool.folder(token, 1) / "out" / "1" / "results.json"
    found = json.loads(file.read_text())
    (study,) = found["studies"]
    image, overlays = study["images"][0], [o for o in study["objects"] if o["kind"] == "sc"]
    left_out = [entry for entry in found["files"] if entry["outcome"] != "assessed"]
    found["files"] += left_out * 1000
    study["images"] = [image | {"sop_instance_uid": f"1.2.{number}"} for number in range(3459)]
    study["objects"] = [o | {"source": f"1.2.{number}"} for number in range(3459) for o in overlays]
    file.write_text(json.dumps(found))
    text = page.browser(Role.VIEWER).get(f"/studies/{token}").text
    assert "The first 20 of 3459 images are shown." in text
    assert text.count("<img") == 20 * (1 + len(overlays))
    assert text.count('<table class="findings">') == 20
    assert "and 901 more" in text  # of those left out
    assert len(text) < 1 << 20


def test_of_very_many_rows_the_first_are_shown(page: Page) -> None:
    now = page.now()
    for number in range(250):
        page.add_row("1.2.1", version=number + 1)
        page.add_row(f"1.3.{number}", state="failed", finished=now)
        raise_alarm(page.database, AlarmKind.DEAD_LETTER, f"pacs{number}", "refused", now)
    client = page.browser(Role.OPERATOR)
    text = client.get(f"/studies/{page.tokens.token('1.2.1')}").text
    assert "The first 200 are shown." in text
    assert 'href="/studies/' + page.tokens.token("1.2.1") + '/51"' in text
    assert "250 open alarms" in text
    assert text.count('action="/alarms/') == 5
    assert "and 245 more" in text
    text = client.get("/dead-letter").text
    assert "The first 200 are shown." in text
    assert text.count("Replay") == 200


def test_what_is_done_to_a_page_is_named_where_it_cannot_be(page: Page) -> None:
    answer = page.browser(Role.OPERATOR).request("HEAD", "/studies")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
