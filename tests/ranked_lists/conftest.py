"""The ids that ranked lists in these tests refer to."""

import pytest


@pytest.fixture(scope="session")
def texts(store):
    """Text stores of the queries q0 to q39 and of the passages p0 to p59, as ``ingest`` asks."""
    return {
        "queries": store((f"q{i}", "text") for i in range(40)),
        "passages": store((f"p{i}", "text") for i in range(60)),
    }
