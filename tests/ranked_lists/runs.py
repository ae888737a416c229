"""Ranked lists that the tests write as runs, and what was read, as plain lists."""

from itertools import accumulate

from hypothesis import strategies as st

from restage.errors import InputError

RUNS = st.dictionaries(
    st.integers(0, 39).map("q{}".format),
    st.lists(st.integers(0, 59).map("p{}".format), min_size=1, max_size=9, unique=True),
    min_size=2,
    max_size=12,
)
PIECES = ["q1", "q2", "p1", "p2", "0", "1", "2", "3.5", "nan", "1e400", "-", '"', "é", " ", "  "]
PIECES += ["\t", "\n", "\r", "\r\n", "\0", "q1 0 p1 1 2.0 t\n", "q1\t0\tp2\t2\t1.0\tt\n"]
BYTES = st.binary(max_size=60) | st.lists(st.sampled_from(PIECES), max_size=30).map(
    lambda pieces: "".join(pieces).encode()
)


def write_run(path, run, separator="\t"):
    """Write {query: passages in rank order} as a TREC run, with scores 99, 98 and so on."""
    lines = [
        separator.join([query, "0", passage, str(rank), str(100 - rank), "ColBERT"])
        for query, listed in run.items()
        for rank, passage in enumerate(listed, start=1)
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def lists_of(blocks):
    """(query, passages, scores or None) of every list, in the order they were read."""
    return [
        (
            query,
            block.passages.to_pylist()[end - size : end],
            None if block.scores is None else block.scores[end - size : end].tolist(),
        )
        for block in blocks
        for query, size, end in zip(
            block.queries, block.sizes, accumulate(block.sizes.tolist()), strict=True
        )
    ]


def lists_or_one_line(blocks):
    """(query, passages) of the lists that a reader yields, or None where it refuses its input."""
    try:
        return [(query, passages) for query, passages, _ in lists_of(blocks)]
    except InputError as error:
        assert "\n" not in str(error)
        return None
