"""What follows from a check: the three actions, and who decides."""

from __future__ import annotations

from pathlib import Path

import pytest

from candor.settings import Settings, load_settings
from candor.study.case import CaseImage
from candor.study.errors import SettingsError
from candor.study.policy import CHECKS, DEFAULT_POLICY, Action
from candor.study.reasons import Reason, ReasonKind
from candor.study.result import Note


def image() -> CaseImage:
    return CaseImage("a.dcm", Path("a.dcm"))


def test_every_check_has_a_default_and_a_setting_that_agrees() -> None:
    assert set(DEFAULT_POLICY) == set(CHECKS) == {reason for reason in Reason if reason.kind is ReasonKind.CHECK}
    assert Settings().policy == DEFAULT_POLICY


def test_a_site_sets_what_follows() -> None:
    policy = Settings(on_inverted="refuse", on_shortcut="notice").policy
    assert policy[Reason.INVERTED] is Action.REFUSE
    assert policy[Reason.SHORTCUT] is Action.NOTICE
    assert policy[Reason.ROTATED] is DEFAULT_POLICY[Reason.ROTATED]


def test_an_unknown_action_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "app.yaml"
    path.write_text("candor: {on_rotated: ignore}")
    with pytest.raises(SettingsError, match="on_rotated is 'ignore'; it must be 'refuse', 'defer' or 'notice'"):
        load_settings(path)


def test_what_follows_changes_results() -> None:
    assert Settings(on_rotated="notice").sha256 != Settings().sha256


def test_the_three_actions_do_what_they_say() -> None:
    refused, deferred, noticed = image(), image(), image()
    refused.follow(Action.REFUSE, Reason.INVERTED, "why")
    deferred.follow(Action.DEFER, Reason.INVERTED, "why")
    noticed.follow(Action.NOTICE, Reason.INVERTED, "why")
    note = Note(Reason.INVERTED, "why")
    assert (refused.refusal, refused.deferrals, refused.notices) == (note, [], [])
    assert (deferred.refusal, deferred.deferrals, deferred.notices) == (None, [note], [])
    assert (noticed.refusal, noticed.deferrals, noticed.notices) == (None, [], [note])
