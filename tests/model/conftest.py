"""A scoring that is killed."""

import pytest

from restage.model import scoring


@pytest.fixture
def killed_after_two_pieces(monkeypatch):
    """Interrupt the scoring once two pieces are there; returns the pairs of each that was made."""
    scored, score = [], scoring.score_pairs

    def counted(model, encoder, queries, *others, **settings):
        if len(scored) == 2:
            raise KeyboardInterrupt
        scored.append(len(queries))
        return score(model, encoder, queries, *others, **settings)

    monkeypatch.setattr(scoring, "score_pairs", counted)
    return scored
