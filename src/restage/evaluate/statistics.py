"""Paired statistics over queries: significance, equivalence, intervals.

``a`` and ``b`` are values per query of two systems, shape (queries,), in the same order.
"""

import numpy as np
from scipy import stats
from statsmodels.stats.weightstats import ttost_paired

# Values per query are at most 1, and means over seeds: differences below this are rounding errors.
ROUNDING = 1e-12
BOOTSTRAP_ROUNDS = 10_000
DRAWS_AT_ONCE = 1 << 20


def paired_t(a: np.ndarray, b: np.ndarray) -> float:
    """Return the p-value of the two-sided paired t-test.

    Where all differences are equal the test has no variance to go by: 1 for equal systems, else 0.
    With a single query it is nan.
    """
    differences = np.subtract(a, b)
    if len(differences) < 2:
        return np.nan
    if np.ptp(differences) < ROUNDING:
        return float(abs(differences[0]) < ROUNDING)
    return float(stats.ttest_1samp(differences, 0).pvalue)


def tost(a: np.ndarray, b: np.ndarray, margin: float) -> float:
    """Return the p-value of two one-sided tests: small where |mean difference| < ``margin``.

    Schuirmann, "A comparison of the two one-sided tests procedure and the power approach for
    assessing the equivalence of average bioavailability" (1987). Degenerate cases as ``paired_t``.
    """
    differences = np.subtract(a, b)
    if len(differences) < 2:
        return np.nan
    if np.ptp(differences) < ROUNDING:
        return float(abs(differences[0]) > margin - ROUNDING)
    return float(ttost_paired(np.asarray(a), np.asarray(b), -margin, margin)[0])


def over_queries_and_seeds(differences: np.ndarray, margin: float) -> tuple[float, float]:
    """Return the p-values of ``paired_t`` and ``tost`` with seeds as a second source of variance.

    Queries and seeds are both random samples: another draw of either would have given other
    values. Both are t-tests of the mean as ``mean_of_two_ways`` estimates it (Clark, "The
    language-as-fixed-effect fallacy", 1973, whose quasi-F this is). With one seed the two tests
    remain.

    Args:
        differences: one system's values minus the other's, shape (queries, seeds).
    """
    queries, seeds = differences.shape
    if seeds == 1 or queries == 1 or np.ptp(differences) < ROUNDING:
        mean, zero = differences.mean(axis=1), np.zeros(queries)
        return paired_t(mean, zero), tost(mean, zero, margin)
    mean, error, freedom = mean_of_two_ways(differences)
    if error < ROUNDING:
        return float(abs(mean) < ROUNDING), float(abs(mean) > margin - ROUNDING)
    within = max(
        stats.t.sf((margin - mean) / error, freedom), stats.t.sf((margin + mean) / error, freedom)
    )
    return float(2 * stats.t.sf(abs(mean) / error, freedom)), float(within)


def mean_of_two_ways(differences: np.ndarray) -> tuple[float, float, float]:
    """Return the mean, its standard error and degrees of freedom, queries and seeds being random.

    Mean squares of the two-way analysis of variance without replication give the variance of the
    mean, (MS_query + MS_seed - MS_rest) / (queries * seeds), with Satterthwaite's degrees of
    freedom. Where an estimated component would be negative it is taken for 0.

    Args:
        differences: shape (queries, seeds), at least two of each.
    """
    mean, size = differences.mean(), np.array(differences.shape)
    by_query, by_seed = differences.mean(axis=1), differences.mean(axis=0)
    rest = differences - by_query[:, None] - by_seed + mean
    squares = np.array([((by_query - mean) ** 2).sum(), ((by_seed - mean) ** 2).sum()])
    squares *= size[::-1] / (size - 1)
    rest_square = (rest**2).sum() / (size - 1).prod()
    varied = squares > rest_square
    if varied.all():
        parts = np.array([*squares, -rest_square])
        freedom = parts.sum() ** 2 / (parts**2 / [*(size - 1), (size - 1).prod()]).sum()
    else:  # one component is 0: the other alone, whichever is larger
        parts, freedom = squares[[squares.argmax()]], (size - 1)[squares.argmax()]
    return mean, np.sqrt(parts.sum() / size.prod()), freedom


def randomisation(
    a: np.ndarray, b: np.ndarray, seed: int | list[int] | np.random.Generator, rounds: int = 10_000
) -> float:
    """Return the p-value of the two-sided randomisation test, which assumes no distribution.

    Each round swaps the two systems at random for each query (flips the sign of the difference);
    the p-value counts the rounds whose mean difference is at least as far from 0 as the observed
    one, which itself counts as a round. Fisher, "The Design of Experiments" (1935); for retrieval,
    Smucker, Allan and Carterette, CIKM 2007.
    """
    differences, rng = np.subtract(a, b), np.random.default_rng(seed)
    observed = abs(differences.sum())
    # Sums of the same numbers in another order differ in their last digits.
    reached = observed - 1e-12 * np.abs(differences).sum()
    extreme = 1
    for count in _rounds(rounds, len(differences)):
        signs = rng.integers(2, size=(count, len(differences)), dtype=np.int8) * 2 - 1
        extreme += int((np.abs(signs @ differences) >= reached).sum())
    return extreme / (rounds + 1)


def correct(p_values: np.ndarray, method: str) -> np.ndarray:
    """Return p-values corrected for as many comparisons as there are: bonferroni, holm or none.

    A nan stays one and does not count as a comparison. The methods are written out because
    statsmodels' ``multipletests`` collects garbage in each call, 75 ms that a table pays per cell.
    """
    corrected = np.array(p_values, dtype=float)
    known = np.flatnonzero(~np.isnan(corrected))
    if method == "bonferroni":
        corrected[known] *= len(known)
    elif method == "holm":
        order = known[np.argsort(corrected[known], kind="stable")]
        steps = corrected[order] * np.arange(len(order), 0, -1)
        corrected[order] = np.maximum.accumulate(steps)
    return corrected.clip(max=1)


def bootstrap_interval(
    values: np.ndarray, seed: int | list[int] | np.random.Generator, level: float = 0.95
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of the mean over queries (Efron 1979)."""
    values, rng = np.asarray(values, dtype=float), np.random.default_rng(seed)
    means = [
        values[rng.integers(len(values), size=(count, len(values)), dtype=np.int32)].mean(axis=1)
        for count in _rounds(BOOTSTRAP_ROUNDS, len(values))
    ]
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _rounds(rounds: int, queries: int) -> list[int]:
    """Split resampling rounds so that what is drawn at a time stays small."""
    at_once = max(1, DRAWS_AT_ONCE // queries)
    return [min(at_once, rounds - first) for first in range(0, rounds, at_once)]


def verdict(p_difference: float, mean_difference: float, p_equivalence: float, alpha: float) -> str:
    """Return what the two tests together say: better, worse, equivalent or undecided.

    A difference that is significant and yet within the margin counts as equivalent.
    """
    if p_equivalence < alpha:
        return "equivalent"
    if p_difference < alpha:
        return "better" if mean_difference > 0 else "worse"
    return "undecided"
