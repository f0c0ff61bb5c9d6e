"""What the answers of a bundle rest on, and whether a node may go live with that.

A threshold keeps its promise for patients like those that it was fitted to. So a node delivers answers only where that
fit is of the site's own cases, or where an operator has permitted another one and said why. Then every report says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from candor.model.bundle import Bundle, find_bundle, load_bundle
from candor.settings import Settings as OwnSettings
from candor.settings import load_settings as load_own_settings
from candor.study.errors import SettingsError
from candor.study.provenance import ForeignFit
from gateway.settings import Settings
from gateway.store.alarms import AlarmKind, open_alarm
from gateway.store.mode import enter, foreign_fit_of, mode_of
from gateway.store.states import Mode

NODE: Final = "the node"
"""Who goes back to shadow mode by itself, in the audit trail."""

LONGEST_REASON: Final = 200

_UNNAMED: Final = "patients that the bundle does not name"


@dataclass(frozen=True, slots=True)
class Fit:
    """What the answers of a bundle rest on.

    Parameters
    ----------
    bundle_sha256
        The bundle.
    foreign
        What was fitted to other patients than the site's own, each with their site or data set: ``("the gate", "NIH
        ChestX-ray14")``. Empty where nothing is answered by such a fit.
    site
        The site, as the node's settings name it; None where they do not.
    """

    bundle_sha256: str
    foreign: tuple[tuple[str, str], ...]
    site: str | None

    @property
    def problem(self) -> str:
        """Why the node may not go live with it unless an operator permits it; "" where it may."""
        if not self.foreign:
            return ""
        site = f"to this site ({self.site})" if self.site else "to this site (gateway.yaml names none: set `site`)"
        fits = " and ".join(f"{part} was fitted to {source}" for part, source in self.foreign)
        return f"{fits}, not {site}"

    def permit(self, reason: str | None) -> ForeignFit | None:
        """Return the permission to go live with a fit to other patients; None where the fit needs none.

        Parameters
        ----------
        reason
            The operator's reason; None or "" where there is none. It holds no patient's data.

        Raises
        ------
        SettingsError
            The fit needs a reason, and there is none or it is too long.
        """
        if not self.foreign:
            return None
        said = " ".join((reason or "").split())
        if not said:
            raise SettingsError(
                f"{self.problem}; fit it to your cases (`candor model calibrate`, `fit-gate`, `fit-study-answer`; "
                "docs/how-to/refit-calibration.md), or say `live --foreign-fit REASON`"
            )
        if len(said) > LONGEST_REASON:
            raise SettingsError(f"the reason has {len(said)} characters; give at most {LONGEST_REASON}")
        return ForeignFit(self.bundle_sha256, " and ".join(sorted({source for _, source in self.foreign})), said)


def fit_of(bundle: Bundle, own: OwnSettings, site: str | None) -> Fit:
    """Return what the answers rest on: what decides in the settings, and can answer anything.

    Parameters
    ----------
    bundle
        The model bundle.
    own
        The application's settings, with the site's costs and its promise for the study as a whole.
    site
        The site, as the node's settings name it.

    Raises
    ------
    SettingsError
        The bundle has no threshold with that promise.
    """
    gate, calibration, study = bundle.gate.with_costs(own.cost_table), bundle.calibration, bundle.study_answer
    by_threshold = [pair for finding, pair in gate.thresholds.items() if finding not in gate.costs]
    rule_out = study.rule_out(own.rule_out_missed) if study is not None else None
    fits: list[tuple[str, str | None]] = []
    if any((pair.lo, pair.hi) != (None, None) for pair in by_threshold):
        fits.append(("the gate", gate.fitted_to))
    if gate.costs:
        fits.append(("the calibration", calibration.origin.site if calibration.origin else None))
    if study is not None and rule_out is not None and rule_out.threshold is not None:
        fits.append(("the answer for the study", study.fitted_to))
    named = [(part, source or _UNNAMED) for part, source in fits]
    foreign = tuple((part, source) for part, source in named if _plain(source) != _plain(site or ""))
    return Fit(bundle.sha256, foreign, site)


def load_fit(settings: Settings) -> Fit:
    """Return what the answers of the node's bundle rest on.

    Raises
    ------
    BundleError, SettingsError
        The bundle or the application's settings cannot be used.
    """
    bundle = load_bundle(find_bundle(Path(settings.work.models)))
    return fit_of(bundle, load_own_settings(Path(settings.work.application)), settings.site)


def hold_unless_permitted(connection: sa.Connection, fit: Fit, now: float) -> bool:
    """Go back to shadow mode, with an alarm, where the node is live with a fit that nobody has permitted.

    Parameters
    ----------
    connection
        In a transaction.
    fit
        Of the bundle that a worker has loaded: it may be another one than at the time of ``live``.
    now
        Seconds since 1970.

    Returns
    -------
    Whether it did.
    """
    permitted = not fit.foreign or foreign_fit_of(connection, fit.bundle_sha256) is not None
    if permitted or mode_of(connection) is Mode.SHADOW:
        return False
    text = f"back in shadow mode: {fit.problem}, and nobody has permitted it for this bundle; see the verb `live`"
    enter(connection, Mode.SHADOW, NODE, now, text)
    open_alarm(connection, AlarmKind.FOREIGN_FIT, "", text, now)
    return True


def _plain(name: str) -> str:
    return " ".join(name.split()).casefold()
