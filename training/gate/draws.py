"""One image a patient: what an exact binomial test takes for independent draws.

The images of one patient are alike, so that counting all of them would claim more knowledge than there is. Of those
who have a finding one image that shows it is drawn: the guarantee about what is missed is about these. Images called
present are drawn whatever they show, since preferring those that show the finding would make it look frequent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.calibration.scaling import Bools, Floats
from training.data.splits import unit_hash


@dataclass(frozen=True, slots=True, eq=False)
class Draws:
    """Which images are independent draws, for each finding at most one image a patient: ``(images, findings)`` each.

    Parameters
    ----------
    showing
        An image that shows the finding where the patient has one, else any: one draw for each patient who has the
        finding, for the share of positives that is missed.
    whatever
        An image that was chosen whatever it shows: for the share of positives among those called present.
    """

    showing: Bools
    whatever: Bools

    @property
    def needed(self) -> Bools:
        """Which images are drawn for any finding: ``(images,)``."""
        return np.asarray((self.showing | self.whatever).any(axis=1), np.bool_)


def draws(images: NDArray[np.str_], patients: NDArray[np.str_], labels: NDArray[np.floating]) -> Draws:
    """Draw one image a patient for each finding, by a hash of the images' names: no other rows change what is drawn.

    Parameters
    ----------
    images, patients
        ``(images,)``.
    labels
        ``(images, findings)``, NaN where not known: such an image is not drawn for that finding.
    """
    order = np.argsort([unit_hash(str(image), "one image a patient") for image in images], kind="stable")
    showing, whatever = np.zeros(labels.shape, np.bool_), np.zeros(labels.shape, np.bool_)
    showing[order] = first_known(labels[order], patients[order], showing=True)
    whatever[order] = first_known(labels[order], patients[order])
    return Draws(showing, whatever)


def first_known(labels: NDArray[np.floating], patients: NDArray[np.str_], *, showing: bool = False) -> Bools:
    """Mark each patient's first picture whose label is known, for each finding: independent draws for an exact test.

    Parameters
    ----------
    labels
        ``(images, findings)``, NaN where not known.
    patients
        ``(images,)``.
    showing
        Rather take the first that shows the finding, where there is one.

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
    """Take one finding's probabilities and labels, of the images that are drawn for it."""
    return probabilities[drawn[:, k], k], labels[drawn[:, k], k] > 0
