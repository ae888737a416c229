"""Statistics: equal to scipy and statsmodels, and sane where those are not."""

import itertools
import warnings

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

from restage.statistics import (
    bootstrap_interval,
    correct,
    paired_t,
    randomisation,
    tost,
    verdict,
)

QUICK = settings(deadline=None, max_examples=50)
VALUES = st.integers(0, 1000).map(lambda n: n / 1000)


@st.composite
def pairs(draw, smallest=2):
    size = draw(st.integers(smallest, 30))
    return draw(arrays(float, size, elements=VALUES)), draw(arrays(float, size, elements=VALUES))


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@QUICK
@given(pairs())
def test_paired_t_is_scipys(pair):
    a, b = pair
    assume(np.std(a - b) > 1e-6)
    assert paired_t(a, b) == pytest.approx(stats.ttest_rel(a, b).pvalue)
    assert paired_t(a, b) == pytest.approx(paired_t(b, a))


@QUICK
@given(pairs(), st.floats(0.001, 0.5))
def test_tost_is_statsmodels(pair, margin):
    a, b = pair
    assume(np.std(a - b) > 1e-6)
    assert tost(a, b, margin) == pytest.approx(ttost_paired(a, b, -margin, margin)[0])


def test_tests_without_variance():
    a = np.array([0.1, 0.2, 0.7])
    assert paired_t(a, a) == 1
    assert paired_t(a + 0.3, a) == 0  # up to rounding, that is
    assert paired_t(a + 0.1 + 0.2, a + 0.3) == 1
    assert tost(a, a, 0.02) == 0
    assert tost(a + 0.3, a, 0.02) == tost(a - 0.3, a, 0.02) == 1
    assert tost(a + 0.02, a, 0.02) == 1
    assert tost(a + 0.01, a, 0.02) == 0
    assert np.isnan(paired_t(a[:1], a[1:2])) and np.isnan(tost(a[:1], a[1:2], 0.02))


@settings(QUICK, max_examples=12)  # multipletests takes its time
@given(st.lists(st.floats(0, 1) | st.just(np.nan), max_size=8))
def test_corrections_are_statsmodels(p_values):
    p = np.array(p_values)
    known = ~np.isnan(p)
    assert np.array_equal(correct(p, "none"), p, equal_nan=True)
    for method in ("bonferroni", "holm"):
        corrected = correct(p, method)
        assert np.array_equal(np.isnan(corrected), ~known)
        if known.any():
            assert corrected[known] == pytest.approx(multipletests(p[known], method=method)[1])


@QUICK
@given(pairs(smallest=1), st.integers(0, 2**32))
def test_bootstrap_interval_is_one_of_the_mean(pair, seed):
    values = pair[0]
    low, high = bootstrap_interval(values, seed)
    assert values.min() - 1e-12 <= low <= high <= values.max() + 1e-12
    assert (low, high) == bootstrap_interval(values, np.random.default_rng(seed))


def test_bootstrap_interval_has_the_level():
    values = np.random.default_rng(7).normal(0.5, 0.1, 400)
    error = values.std() / 20
    for level, quantile in ((0.95, 1.96), (0.8, 1.2816)):
        expected = [values.mean() - quantile * error, values.mean() + quantile * error]
        assert bootstrap_interval(values, 1, level) == pytest.approx(expected, abs=error / 10)
    assert bootstrap_interval(values, 1) != bootstrap_interval(values, 2)


@QUICK
@given(arrays(float, st.integers(1, 8), elements=VALUES), st.integers(0, 2**32))
def test_randomisation_approaches_the_exact_test(differences, seed):
    sums = [
        abs(np.dot(signs, differences))
        for signs in itertools.product([-1, 1], repeat=len(differences))
    ]
    exact = np.mean(np.array(sums) >= abs(differences.sum()) - 1e-9)
    p = randomisation(differences, np.zeros_like(differences), seed)
    # Five standard errors of 10,000 draws, and the observed one that counts as a draw.
    assert p == pytest.approx(exact, abs=5 * np.sqrt(exact * (1 - exact) / 10_000) + 2e-4)
    assert p == randomisation(np.zeros_like(differences), differences, seed)


@pytest.mark.parametrize(
    "p_difference, difference, p_equivalence, said",
    [
        (0.001, 0.1, 0.9, "better"),
        (0.001, -0.1, 0.9, "worse"),
        (0.5, 0.001, 0.001, "equivalent"),
        (0.001, 0.001, 0.001, "equivalent"),
        (0.5, 0.1, 0.5, "undecided"),
        (0.01, 0.1, 0.01, "undecided"),
        (np.nan, 0.1, np.nan, "undecided"),
    ],
)
def test_verdict(p_difference, difference, p_equivalence, said):
    assert verdict(p_difference, difference, p_equivalence, alpha=0.01) == said
