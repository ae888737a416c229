"""Names of measures: parsed as ir-measures does, or refused in one line."""

import ir_measures
import pytest

from restage.errors import InputError
from restage.grid.checks import parse_measure

MEASURES = ["AP(rel=2)", "nDCG@1", "nDCG@10", "R(rel=2)@100", "RR@10", "P@2", "Judged@5"]


@pytest.mark.parametrize("text", [*MEASURES, "MAP", "SetP", "nDCG(dcg='exp-log2')@10"])
def test_parses(text):
    assert parse_measure(text) == ir_measures.parse_measure(text)


@pytest.mark.parametrize(
    "text",
    [
        *["", "1", "ndcg@10", "nDCG@", "nDCG@x", "nDCG@-1", "nDCG@10 AP", "AP(rel=2", "AP(2)"],
        *["AP(foo=1)", "P", "NERR8@10", "import os", "alpha_nDCG@10", None, "AP\n(rel=2)@"],
    ],
)
def test_refuses_what_is_no_measure(text):
    with pytest.raises(InputError) as error:
        parse_measure(text)
    assert "ir-measures cannot" in str(error.value)
    assert "\n" not in str(error.value) and " at 0x" not in str(error.value)
