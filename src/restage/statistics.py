"""Paired statistics over queries: significance, equivalence, intervals.

``a`` and ``b`` are values per query of two systems, shape (queries,), in the same order.
"""

import numpy as np
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

BOOTSTRAP_ROUNDS = 10_000
QUERIES_AT_ONCE = 1 << 22


def paired_t(a: np.ndarray, b: np.ndarray) -> float:
    """Return the p-value of the two-sided paired t-test.

    Where all differences are equal the test has no variance to go by: 1 for equal systems, else 0.
    With a single query it is nan.
    """
    differences = np.subtract(a, b)
    if len(differences) < 2:
        return np.nan
    if np.ptp(differences) == 0:
        return float(differences[0] == 0)
    return float(stats.ttest_1samp(differences, 0).pvalue)


def tost(a: np.ndarray, b: np.ndarray, margin: float) -> float:
    """Return the p-value of two one-sided tests: small where |mean difference| < ``margin``.

    Schuirmann, "A comparison of the two one-sided tests procedure and the power approach for
    assessing the equivalence of average bioavailability" (1987). Degenerate cases as ``paired_t``.
    """
    differences = np.subtract(a, b)
    if len(differences) < 2:
        return np.nan
    if np.ptp(differences) == 0:
        return float(abs(differences[0]) >= margin)
    return float(ttost_paired(np.asarray(a), np.asarray(b), -margin, margin)[0])


def correct(p_values: np.ndarray, method: str) -> np.ndarray:
    """Return p-values corrected for as many comparisons as there are: bonferroni, holm or none."""
    p_values = np.asarray(p_values, dtype=float)
    corrected, known = p_values.copy(), ~np.isnan(p_values)
    if method != "none" and known.any():
        corrected[known] = multipletests(p_values[known], method=method)[1]
    return corrected


def bootstrap_interval(
    values: np.ndarray, rng: np.random.Generator, level: float = 0.95
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of the mean over queries (Efron 1979)."""
    values = np.asarray(values, dtype=float)
    size, rounds = len(values), max(1, QUERIES_AT_ONCE // len(values))
    means = []
    for first in range(0, BOOTSTRAP_ROUNDS, rounds):
        count = min(rounds, BOOTSTRAP_ROUNDS - first)
        means.append(values[rng.integers(size, size=(count, size))].mean(axis=1))
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def verdict(difference: float, p_difference: float, p_equivalence: float, alpha: float) -> str:
    """Return what the two tests together say: better, worse, equivalent or undecided.

    A difference that is significant and yet within the margin counts as equivalent.
    """
    if p_equivalence < alpha:
        return "equivalent"
    if p_difference < alpha:
        return "better" if difference > 0 else "worse"
    return "undecided"
