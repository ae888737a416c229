"""Ranked lists: the formats they come in, by name; the store that training samples from.

Every reading of the configuration imports this: so no format's module imports at its top what
reading files takes (numpy, pyarrow).
"""

from restage.ranked_lists.list_format import ListFormat
from restage.ranked_lists.mined import Mined
from restage.ranked_lists.rankgpt import RankGPT
from restage.ranked_lists.teacher import Teacher
from restage.ranked_lists.trec_run import TrecRun

FORMATS: dict[str, type[ListFormat]] = {
    "trec_run": TrecRun,
    "rankgpt": RankGPT,
    "first_stage": Mined,
    "model": Teacher,
}
