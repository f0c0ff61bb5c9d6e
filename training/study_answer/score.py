"""The score of any abnormality: a logistic regression on the network's features or logits, chosen by cross-fitting.

Every patient counts alike, however many pictures there are. A picture that no radiologist read counts less. Which
inputs, which weight of the labels and how strong a penalty are chosen by the AUC of the scores out of fold.

References
----------
Hastie et al. 2009, section 4.4 (logistic regression with a ridge penalty). Stone 1974 (cross-validated choice).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from candor.decide.study_answer import Inputs
from candor.study.errors import DataError
from training.predictions.cross_fitting import folds_of, require_folds
from training.study_answer.cases import Bools, Cases, Floats


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a score is fitted.

    Parameters
    ----------
    inputs
        What it is computed from.
    label_weight
        How much a picture counts that was labelled and not read, against one that was read.
    inverse_penalty
        The inverse of the ridge penalty, for standardised inputs (scikit-learn's ``C``).
    """

    inputs: Inputs
    label_weight: float
    inverse_penalty: float


RECIPES: Final = (
    *(Recipe("features", weight, c) for weight in (0.1, 0.3) for c in (3e-4, 1e-3, 3e-3)),
    *(Recipe("logits", weight, c) for weight in (0.0, 0.1) for c in (0.01, 0.1)),
)
"""The recipes to choose from."""


@dataclass(frozen=True, slots=True, eq=False)
class Score:
    """A fitted score, in log-odds: ``weights`` of the inputs as the network gives them, and the intercept."""

    recipe: Recipe
    weights: Floats
    intercept: float

    def of(self, cases: Cases) -> Floats:
        """Return the score of each picture, ``(images,)``."""
        return np.asarray(cases.inputs[self.recipe.inputs] @ self.weights + self.intercept, np.float64)


def fit_score(cases: Cases, rows: Bools, recipe: Recipe) -> Score:
    """Fit a score.

    Parameters
    ----------
    cases
        The pictures.
    rows
        ``(images,)``: which of them to fit to.
    recipe
        How.

    Raises
    ------
    DataError
        The pictures are all normal, or all abnormal.
    """
    has_reads = not np.isnan(cases.read).all()
    weights = np.where(np.isnan(cases.read) & has_reads, recipe.label_weight, 1.0)
    weights = np.where(rows & ~np.isnan(cases.abnormal), weights, 0.0)
    used = np.flatnonzero(weights > 0)
    abnormal = cases.abnormal[used] > 0
    if abnormal.all() or not abnormal.any():
        raise DataError("the patients to fit to are all normal or all abnormal; give more patients")
    _, owner, pictures = np.unique(cases.patients[used], return_inverse=True, return_counts=True)
    each = weights[used] / pictures[owner]
    values = cases.inputs[recipe.inputs][used]
    mean, spread = values.mean(axis=0), values.std(axis=0)
    scale = np.where(spread > 0, spread, 1.0)
    fitted = LogisticRegression(C=recipe.inverse_penalty, max_iter=1000)
    with threadpool_limits(1):  # the same result on any machine; these matrices are small
        fitted.fit((values - mean) / scale, abnormal, sample_weight=each / each.mean())
    slopes = np.asarray(fitted.coef_[0] / scale, np.float64)
    return Score(recipe, slopes, float(fitted.intercept_[0] - slopes @ mean))


@dataclass(frozen=True, slots=True, eq=False)
class CrossFit:
    """Scores out of fold. Fits are kept by the folds that they left out, since several questions share them.

    Parameters
    ----------
    cases
        The pictures.
    """

    cases: Cases
    folds: np.ndarray[tuple[int], np.dtype[np.int64]] = field(init=False)
    _fits: dict[tuple[Recipe, frozenset[int]], Score] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        require_folds(self.cases.patients)
        object.__setattr__(self, "folds", folds_of(self.cases.patients))

    def fit(self, recipe: Recipe, left_out: Iterable[int] = ()) -> Score:
        """Return the score that is fitted without some folds.

        Parameters
        ----------
        recipe
            How it is fitted.
        left_out
            The folds.
        """
        key = recipe, frozenset(left_out)
        if key not in self._fits:
            self._fits[key] = fit_score(self.cases, ~np.isin(self.folds, list(key[1])), recipe)
        return self._fits[key]

    def scores(self, recipe: Recipe, left_out: int | None = None) -> Floats:
        """Return the score of each picture by a fit to the other folds, ``(images,)``.

        Parameters
        ----------
        recipe
            How the score is fitted.
        left_out
            A fold that no fit uses, and whose pictures get NaN; None for none.
        """
        outer = [] if left_out is None else [left_out]
        scores = np.full(len(self.folds), np.nan)
        for fold in np.setdiff1d(self.folds, outer).tolist():
            here = self.folds == fold
            scores[here] = self.fit(recipe, [*outer, fold]).of(self.cases)[here]
        return scores

    def choose(self, left_out: int | None = None) -> Recipe:
        """Return the recipe with the highest AUC out of fold; see :meth:`scores`."""
        truth = self.cases.truth

        def auc(recipe: Recipe) -> float:
            scores = self.scores(recipe, left_out)
            known = ~np.isnan(scores) & ~np.isnan(truth)
            return float(roc_auc_score(truth[known] > 0, scores[known]))

        return max(RECIPES, key=auc)
