"""gateway.yaml: what is read, what it defaults to, and what is refused with which words on which line."""

from __future__ import annotations

from pathlib import Path

import pytest

from candor.study.errors import SettingsError
from candor.study.findings import Finding
from candor.study.profile import Profile, ReportClass
from gateway.settings import Settings, load_settings

PEER = "- name: pacs\n  ae_title: ORTHANC\n  host: pacs.example\n  port: 4242\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "gateway.yaml"
    path.write_text(text)
    return path


def test_an_empty_file_gives_the_defaults_below_its_own_folder(tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, ""))
    assert settings.receive == Settings().receive
    assert settings.spool == str(tmp_path / "spool")
    assert settings.database == f"sqlite:///{tmp_path}/spool/gateway.db"
    assert settings.work.models == str(tmp_path / "models")


def test_absolute_paths_and_other_machines_stay(tmp_path: Path) -> None:
    text = "database: postgresql://u:p@h/candor\nspool: /srv/candor\n"
    settings = load_settings(written(tmp_path, text))
    assert (settings.database, settings.spool) == ("postgresql://u:p@h/candor", "/srv/candor")


def test_certificates_count_from_the_folder_of_the_file(tmp_path: Path) -> None:
    tls = "{certificate: a.pem, key: b.pem, authorities: /etc/c.pem}"
    text = f"receive: {{tls: {tls}}}\ndestinations:\n{PEER}  tls: {tls}\nweb: {{certificate: w.pem, key: w.key}}\n"
    settings = load_settings(written(tmp_path, text))
    for block in (settings.receive.tls, settings.destinations[0].tls):
        assert block is not None
        assert (block.certificate, block.authorities) == (str(tmp_path / "a.pem"), "/etc/c.pem")
    assert settings.web.certificate == str(tmp_path / "w.pem")


def test_everything_a_site_sets_is_read(tmp_path: Path) -> None:
    text = (
        "receive:\n  callers:\n  - {ae_title: CT1, addresses: [192.0.2.0/24], priority: urgent}\n"
        f"studies: {{quiet_s: 0}}\ndestinations:\n{PEER}  kinds: [sr]\n  findings: [Effusion]\n"
        "deliver: {ae_title: OUT}\n"
    )
    settings = load_settings(written(tmp_path, text))
    assert settings.receive.callers[0].priority == "urgent"
    assert settings.studies.quiet_s == 0
    assert settings.destinations[0].kinds == ("sr",)
    assert settings.delivering_ae_title == "OUT"
    assert Settings().delivering_ae_title == "CANDOR"


def test_a_destination_says_what_it_takes(tmp_path: Path) -> None:
    plain = load_settings(written(tmp_path, f"destinations:\n{PEER}")).destinations[0]
    assert plain.profile == Profile()
    rules = "  kinds: [sr, pm]\n  report_class: enhanced\n  findings: [Effusion]\n  flag_deferrals: true\n"
    choosy = load_settings(written(tmp_path, f"destinations:\n{PEER}{rules}")).destinations[0]
    expected = Profile(frozenset({"sr", "pm"}), ReportClass.ENHANCED, frozenset({Finding.EFFUSION}), True)
    assert choosy.profile == expected


def test_destinations_that_take_the_same_share_their_profile(tmp_path: Path) -> None:
    second = PEER.replace("pacs", "second")
    text = f"destinations:\n{PEER}{second}{PEER.replace('pacs', 'third')}  kinds: [sr]\n"
    assert load_settings(written(tmp_path, text)).profiles == (Profile(), Profile(frozenset({"sr"})))
    assert Settings().profiles == ()


def test_a_node_whose_destinations_take_no_report_has_one_for_itself(tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, f"destinations:\n{PEER}  kinds: [sc]\n"))
    assert settings.profiles == (Profile(frozenset({"sc"})), Profile(frozenset({"sr"})))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("receive:\n  portt: 104\n", "line 2: unknown setting 'receive.portt'; did you mean 'port'?"),
        ("zzz: 1\n", "line 1: unknown setting 'zzz'; known are database, spool"),
        ("studies:\n\n  quiet_s: x\n", "line 3: studies.quiet_s is 'x'; it must be a number"),
        ("receive: {port: 0}\n", "line 1: receive.port is 0; it must be at least 1"),
        ('receive: {ae_title: "A\\\\B"}\n', "receive.ae_title is 'A\\\\B'"),
        ("receive: {ae_title: ABCDEFGHIJKLMNOPQ}\n", "at most 16 characters"),
        (f"destinations:\n{PEER}- name: second\n  ae_title: X\n  host: h\n", "line 6: destinations.1.port is missing"),
        (f"destinations:\n{PEER}{PEER}", "two destinations are named 'pacs'"),
        (f"destinations:\n{PEER}  kinds: [pdf]\n", "line 6: destinations.0.kinds.0 is 'pdf'"),
        (f"destinations:\n{PEER}  report_class: pdf\n", "line 6: destinations.0.report_class is 'pdf'"),
        (f"destinations:\n{PEER}  flag_deferrals: 1\n", "line 6: destinations.0.flag_deferrals is 1"),
        (f"destinations:\n{PEER}  findings: [Mas]\n", "unknown finding 'Mas'; did you mean 'Mass'?"),
        (
            "receive:\n  callers:\n  - ae_title: A\n    addresses: [here]\n",
            "'here' is neither an IP address nor a netw",
        ),
        ("web: {host: 0.0.0.0}\n", "line 1: web: host '0.0.0.0' is not this machine alone; give certificate and key"),
        ("web: {certificate: a}\n", "certificate and key belong together"),
        ("web: {login_header: X-User}\n", "login_header needs behind_proxy"),
        ("web: {behind_proxy: true, proxies: []}\n", "behind_proxy needs proxies"),
        ("web: {behind_proxy: true, proxies: [proxy]}\n", "'proxy' is neither an IP address nor a network"),
        ("web: {proxies: [0.0.0.0/0]}\n", "'0.0.0.0/0' is every address"),
        ("web: {health_host: 0.0.0.0}\n", "host '0.0.0.0' is not this machine alone"),
        ("web: {port: 8081}\n", "health_port is the page's port"),
        ("database: mysql://h/x\n", "database must begin with sqlite:/// or postgresql://"),
        ("studies: {quiet_s: 20, growing_limit_s: 10}\n", "growing_limit_s must be at least studies.quiet_s"),
        ("alarms: {webhook: 'ftp://x'}\n", "alarms.webhook is 'ftp://x'"),
        ("spool: a\nspool: b\n", "line 2: 'spool' stands there twice"),
        ("destinations:\n- {name: a, name: b}\n", "line 2: 'name' stands there twice"),
        ("receive: {\n", "is not valid YAML"),
        ("- 1\n", "line 1: it must be a block of names and values"),
        ("work: {max_tries: true}\n", "work.max_tries is True"),
    ],
)
def test_what_cannot_be_is_refused_with_the_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings(written(tmp_path, text))
    assert says in str(refused.value)
    assert "gateway.yaml" in str(refused.value)


def test_several_faults_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"line 1: .*; .*line 2: "):
        load_settings(written(tmp_path, "zzz: 1\nstudies: {quiet_s: -1}\n"))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.yaml cannot be read .*; name another with --config"):
        load_settings(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_the_page_may_serve_this_machine_without_tls(tmp_path: Path, host: str) -> None:
    assert load_settings(written(tmp_path, f"web: {{host: '{host}'}}\n")).web.host == host


def test_behind_a_proxy_the_page_may_listen_anywhere(tmp_path: Path) -> None:
    text = "web: {host: 0.0.0.0, behind_proxy: true, login_header: X-Remote-User, operators: [ann]}\n"
    web = load_settings(written(tmp_path, text)).web
    assert web.login_header == "X-Remote-User"
    assert web.proxies == ("127.0.0.1", "::1")  # and whoever reaches the port from elsewhere is nobody
