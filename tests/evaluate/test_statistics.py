"""Statistics: equal to scipy and statsmodels, and sane where those are not."""

import itertools
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from statsmodels.regression.mixed_linear_model import MixedLM
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

from restage.evaluate.statistics import (
    bootstrap_interval,
    correct,
    mean_of_two_ways,
    over_queries_and_seeds,
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


def crossed(queries, seeds, of_query=0.1, of_seed=0.03, of_rest=0.05, mean=0.02, seed=0):
    rng = np.random.default_rng(seed)
    return (
        mean
        + rng.normal(0, of_query, (queries, 1))
        + rng.normal(0, of_seed, (1, seeds))
        + rng.normal(0, of_rest, (queries, seeds))
    )


@pytest.mark.parametrize("seed", range(3))
def test_queries_and_seeds_have_the_error_of_a_mixed_model(seed):
    differences = crossed(30, 5, seed=seed)
    queries, seeds = np.indices(differences.shape).reshape(2, -1)
    frame = pd.DataFrame({"d": differences.ravel(), "query": queries, "seed": seeds})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = MixedLM.from_formula(
            "d ~ 1",
            groups=np.ones(len(frame)),
            vc_formula={"query": "0 + C(query)", "seed": "0 + C(seed)"},
            data=frame,
        ).fit(reml=True)
    mean, error, freedom = mean_of_two_ways(differences)
    assert mean == pytest.approx(model.params["Intercept"], rel=1e-3)
    assert error == pytest.approx(model.bse["Intercept"], rel=0.02)
    assert 4 <= freedom <= 29 * 4
    p_value, p_tost = over_queries_and_seeds(differences, 0.05)
    assert p_value == pytest.approx(2 * stats.t.sf(abs(mean) / error, freedom))
    ends = stats.t.interval(1 - 2 * p_tost, freedom, mean, error)  # touches the margin
    assert max(map(abs, ends)) == pytest.approx(0.05)


@QUICK
@given(pairs(), st.floats(0.001, 0.5))
def test_one_seed_leaves_the_two_tests(pair, margin):
    a, b = pair
    both = over_queries_and_seeds((a - b)[:, None], margin)
    assert both == pytest.approx((paired_t(a, b), tost(a, b, margin)))


def test_seeds_that_differ_make_a_difference_less_sure():
    assert over_queries_and_seeds(crossed(50, 3, of_seed=0), 0.02)[0] < 0.2
    rates = [
        np.mean(
            [
                over_queries_and_seeds(crossed(20, 3, mean=0, seed=s, **kind), 1)[0] < 0.05
                for s in range(300)
            ]
        )
        for kind in ({}, {"of_seed": 0}, {"of_query": 0}, {"of_rest": 0})
    ]
    assert max(rates) < 0.09, rates  # it errs about as often as it says
    alike = [
        paired_t(crossed(20, 3, mean=0, of_seed=0.1, seed=s).mean(axis=1), np.zeros(20))
        for s in range(300)
    ]
    assert np.mean(np.array(alike) < 0.05) > 0.3  # which the paired test of means does not


def test_identical_seeds_and_one_query():
    same = np.full((4, 3), 0.1)
    assert over_queries_and_seeds(same, 0.2) == (0, 0)
    assert over_queries_and_seeds(same * 0, 0.2) == (1, 0)
    assert np.isnan(over_queries_and_seeds(same[:1], 0.2)).all()
    assert over_queries_and_seeds(np.array([[0.1, 0.3], [0.3, 0.1]]), 0.5)[1] < 0.5


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
