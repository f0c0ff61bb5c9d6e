"""Check the settings before a process starts."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from candor.study.errors import SettingsError
from candor.study.profile import ReportClass
from gateway.settings import Destination, Settings, tls_blocks

_USUAL_CLASS: Final = ReportClass.COMPREHENSIVE_3D.value
_TLS_FILES: Final = ("certificate", "key", "authorities")


def check_files(settings: Settings) -> None:
    """Check that the files exist that the settings name.

    Raises
    ------
    SettingsError
        One is missing.
    """
    web = settings.web
    named = [("work.models", settings.work.models), ("work.application", settings.work.application)]
    named += [(f"{place}.{name}", getattr(tls, name)) for place, tls in tls_blocks(settings) for name in _TLS_FILES]
    named += [(f"web.{name}", getattr(web, name)) for name in ("certificate", "key") if getattr(web, name)]
    for name, path in named:
        if not Path(path).exists():
            raise SettingsError(f"{name}: {path} is not there; correct the setting or bring the file")


def overview(settings: Settings) -> list[str]:
    """Return what the node would do with its settings, one line for each part."""
    receive, web = settings.receive, settings.web
    secured = "with TLS" if receive.tls else "without TLS"
    known = ", ".join(caller.ae_title for caller in receive.callers) or "anybody: name the callers before going live"
    lines = [f"receive   {receive.ae_title} at {receive.host}:{receive.port}, {secured}, from {known}"]
    lines += [
        f"deliver   {_kinds(peer)} to {peer.name}: {peer.ae_title} at {peer.host}:{peer.port}{_extras(peer)}"
        for peer in settings.destinations
    ]
    if not settings.destinations:
        lines.append("deliver   nowhere: results are stored and shown")
    scheme = "https" if web.certificate else "http"
    lines.append(f"page      {scheme}://{web.host}:{web.port}")
    if web.health_port is not None:
        lines.append(f"health    {scheme}://{web.health_host}:{web.health_port}/healthz, /readyz, /metrics")
    lines.append(f"spool     {settings.spool}")
    return lines


def _kinds(peer: Destination) -> str:
    """Return the kinds that a destination takes; the report's SOP class where it is not the usual one."""
    report = "sr" if peer.report_class == _USUAL_CLASS else f"sr ({peer.report_class})"
    return ", ".join(report if kind == "sr" else kind for kind in peer.kinds)


def _extras(peer: Destination) -> str:
    flags = ", flags deferrals" if peer.flag_deferrals and "ko" in peer.kinds else ""
    return flags + (", asks for storage commitment" if peer.commitment else "")
