"""What a training says of itself as it goes."""

import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def test_tensorboard_has_what_the_table_has(train):
    folder = train(max_steps=4)
    events = EventAccumulator(str(folder.parent / "events")).Reload()
    table = pd.read_csv(folder / "training.csv").set_index("step")
    assert table.index.tolist() == [0, 2, 4]
    for column in ("loss", "valid_loss"):
        expected = table[column].dropna()
        shown = [(event.step, event.value) for event in events.Scalars(column)]
        assert [step for step, _ in shown] == expected.index.tolist()
        assert [value for _, value in shown] == pytest.approx(expected.tolist(), 1e-4)


def test_the_columns_of_the_table(train):
    header = (train(max_steps=1) / "training.csv").read_text().splitlines()[0]
    assert header == (
        "step,epoch,loss,valid_loss,valid_nDCG@10,learning_rate,gradient_norm,"
        "pairs_per_second,tokens_per_second,memory_mb"
    )
