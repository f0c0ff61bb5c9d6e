"""Draw one image of each patient: an exact binomial test needs independent draws.

The images of one patient are alike, so counting all of them would claim more knowledge than there is. For the guarantee
about missed positives, an image that shows the finding is drawn of each patient who has it. For the guarantee about
images called present, images are drawn whatever they show: preferring those with the finding would make it look
frequent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.calibration.scaling import Bools, Floats
from training.data.splits import unit_hash


@dataclass(frozen=True, slots=True, eq=False)
class Draws:
    """Which images are drawn, at most one of each patient for each finding: arrays ``(images, findings)``.

    Parameters
    ----------
    showing
        An image that shows the finding if the patient has one, else any: for the share of positives that is missed.
    whatever
        An image chosen whatever it shows: for the share of positives among those called present.
    """

    showing: Bools
    whatever: Bools

    @property
    def needed(self) -> Bools:
        """Return which images are drawn for any finding: ``(images,)``."""
        return np.asarray((self.showing | self.whatever).any(axis=1), np.bool_)


def draws(images: NDArray[np.str_], patients: NDArray[np.str_], labels: NDArray[np.floating]) -> Draws:
    """Draw one image of each patient for each finding, by a hash of the images' names, whatever other rows there are.

    Parameters
    ----------
    images, patients
        ``(images,)``.
    labels
        ``(images, findings)``, NaN if not known: such an image is not drawn for that finding.
    """
    order = np.argsort([unit_hash(str(image), "one image a patient") for image in images], kind="stable")
    showing, whatever = np.zeros(labels.shape, np.bool_), np.zeros(labels.shape, np.bool_)
    showing[order] = first_known(labels[order], patients[order], showing=True)
    whatever[order] = first_known(labels[order], patients[order])
    return Draws(showing, whatever)


def first_known(labels: NDArray[np.floating], patients: NDArray[np.str_], *, showing: bool = False) -> Bools:
    """Return which picture is the first of its patient with a known label, for each finding.

    Parameters
    ----------
    labels
        ``(images, findings)``, NaN where not known.
    patients
        ``(images,)``.
    showing
        Prefer the first that shows the finding, if there is one.

    Returns
    -------
    ``(images, findings)``.
    """
    chosen = np.zeros(labels.shape, np.bool_)
    for k in range(labels.shape[1]):
        known = np.flatnonzero(~np.isnan(labels[:, k]))
        if showing:
            known = known[np.argsort(labels[known, k] <= 0, kind="stable")]
        chosen[known[np.unique(patients[known], return_index=True)[1]], k] = True
    return chosen


def column(probabilities: Floats, labels: Floats, drawn: Bools, k: int) -> tuple[Floats, Bools]:
    """Return one finding's probabilities and labels, of the images that are drawn for it.

    Parameters
    ----------
    probabilities, labels, drawn
        ``(images, findings)``.
    k
        Column of the finding.
    """
    return probabilities[drawn[:, k], k], labels[drawn[:, k], k] > 0
