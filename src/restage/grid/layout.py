"""Every output's path, formatted and parsed here and nowhere else; the names of tables and pages.

A path begins with one of two roots: ``<results>``, whose artifacts all studies share, or
``<study>``, where a study's own tables, figures and pages are. Snakemake fills in the roots and the
wildcards in braces itself; ``Output.at`` does so for everybody else.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import NamedTuple


class Roots(NamedTuple):
    """The folders that outputs are under."""

    results: str
    study: str

    @classmethod
    def of(cls, results: str, study: str | None) -> "Roots":
        return cls(results, f"{results}/studies/{study}" if study else results)

    def relative(self, path: str | Path) -> str:
        """A path below a root, as the outputs' templates say it; that of another file by its name.

        So it stays the same where results are moved, and where others' files are.
        """
        for root in (self.study, self.results):  # the first may be in the second
            if Path(path).is_relative_to(root):
                name = "<results>" if root == self.results else "<study>"
                return f"{name}/{Path(path).relative_to(root).as_posix()}"
        return Path(path).name


class Output(str):
    """The path of a kind of output: a template with its root and its wildcards."""

    def of(self, **wildcards: object) -> "Output":
        """The path with wildcards filled in, below its root still."""
        return Output(self.format(**wildcards))

    def at(self, roots: Roots, **wildcards: object) -> Path:
        """The path on this machine."""
        root, _, path = self.format(**wildcards).partition("/")
        return Path(getattr(roots, root.strip("<>")), path)

    def parse(self, path: str | Path) -> dict[str, str]:
        """The wildcards of a path of this kind, wherever its root is.

        Raises:
            ValueError: it is not of this kind.
        """
        parts = re.split(r"\{(\w+)\}", self.partition("/")[2])
        pattern = "".join(
            f"(?P<{part}>[^/]+)" if i % 2 else re.escape(part) for i, part in enumerate(parts)
        )
        found = re.search(f"(?:^|/){pattern}$", str(path))
        if not found:
            raise ValueError(f"{path} is not of the form {self}")
        return found.groupdict()

    def others(self, path: str | Path, wildcard: str) -> list[Path]:
        """What is there of this kind and differs from ``path`` in nothing but a wildcard."""
        wildcards = self.parse(path)
        below = self.of(**wildcards).partition("/")[2]
        alike = self.of(**wildcards | {wildcard: "*"}).partition("/")[2]
        return sorted(Path(str(path).removesuffix(below) or ".").glob(alike))

    @property
    def job(self) -> "Output":
        """What names the job that makes it: the path without root and endings."""
        return Output(re.sub(r"(\.([a-z]+|\{format\}))+$", "", self.partition("/")[2]))

    def over(self, wildcard: str) -> "Output":
        """What one job makes for all values of a wildcard goes by the path without it."""
        return Output(self.replace(f"/{{{wildcard}}}", ""))

    @property
    def log(self) -> str:
        return f"{self.partition('/')[0]}/logs/{self.job}.log"

    @property
    def state(self) -> "Output":
        """What a killed job goes on from; outside the output, which Snakemake removes then."""
        return Output(f"{STATES}/{self.job}")


STATES = Output("<results>/states")
MANIFESTS = Output("<results>/manifests")
MANIFEST = Output("<results>/manifests/{path}.json")
SEEN = Output("<results>/manifests/.seen.json")  # the content of large files
PARSED = Output("<results>/manifests/.code.json")  # what the workflow's own files do
# collections
FETCHED = Output("<results>/downloads/ir_datasets/{id}.fetched")
TEXTS = Output("<results>/stores/texts/{kind}/{name}")
TOKENS = Output("<results>/stores/tokens/{tokenizer}/{kind}/{name}")
PINNED = Output("<results>/stores/models/{model}.json")
QRELS = Output("<results>/stores/qrels/{dataset}.parquet")
# ranked_lists
DOWNLOAD = Output("<results>/downloads/{lists}/{part}")
MINED = Output("<results>/mined/{lists}.run.gz")
LISTS = Output("<results>/ranked_lists/{lists}")
# first_stage
SHARED_INDEX = Output("<results>/stores/indexes/{engine}/{collection}")
INDEX = Output("<results>/indexes/{first_stage}/{collection}")
FIRST_STAGE_RUN = Output("<results>/first_stage/{first_stage}/{dataset}.run.gz")
# finetune
MODEL = Output("<results>/models/{backbone}/{recipe}/{seed}")
EVENTS = Output("<results>/tensorboard/{backbone}/{recipe}/{seed}")
# rerank
SCORES = Output("<results>/scores/{backbone}/{recipe}/{seed}/{dataset}.parquet")
KEPT = Output("<results>/stores/scores/{backbone}/{recipe}/{seed}/{dataset}.parquet")
RUN = Output("<results>/runs/{backbone}/{recipe}/{seed}/{first_stage}/{dataset}.run.gz")
# evaluate
FIRST_STAGE_MEASURES = Output("<results>/measures/{first_stage}/{dataset}.parquet")
MEASURES = Output("<results>/measures/{backbone}/{recipe}/{seed}/{first_stage}/{dataset}.parquet")
GROUP_TABLE = Output("<study>/tables/{group}.{format}")
TABLE = Output("<study>/tables/{table}.csv")
# report
FIGURE = Output("<study>/figures/{figure}.{format}")
GROUP_FIGURE = Output("<study>/figures/{group}_{figure}.{format}")
PAGE = Output("<study>/pages/{page}.html")
PROVENANCE = Output("<study>/provenance/{table}.csv")


# Names that stay as they are but for their slashes, and can be told from the folder's name.
PLAIN = re.compile(r"[a-z0-9](-?[a-z0-9_.])*(/[a-z0-9](-?[a-z0-9_.])*)*")
READABLE = 96  # characters of any other name


def folder_name(*parts: str) -> str:
    """A folder's name for what has a name, of one part or more, that may be any text.

    Two names never have one folder, also where a file system takes upper case for lower: all but
    plain names (``org/name`` is ``org--name``) have a hash at their end.
    """
    if len(parts) == 1 and len(parts[0]) <= READABLE and PLAIN.fullmatch(parts[0]):
        return parts[0].replace("/", "--")
    readable = re.sub("[^A-Za-z0-9_.-]+", "--", "/".join(parts)).strip("-.")[:READABLE]
    return f"{readable}+{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]}"


TABLE_FORMATS = ["csv", "md", "tex"]
FIGURE_FORMATS = ["svg", "pdf"]


class Page(NamedTuple):
    """A page of the report: what it says above the table, and the part of the report it is in."""

    title: str
    note: str
    category: str
    table: Output | None  # that it shows; None: a page of its own form


ON_PAR = "1. Are the recipes on par?"
EFFECTIVENESS = "2. How effective are they?"
LEARNING_RATE = "3. Is it the learning rate?"
REPRODUCTION = "4. Does it agree with the study?"
MADE = "5. How was it made?"

PAGES = {
    "verdicts": Page("Which recipes are on par", "", ON_PAR, None),
    "significance": Page(
        "Significance", "Each model against its first stage and other recipes.", ON_PAR, TABLE
    ),
    "equivalence": Page(
        "Equivalence",
        "Each recipe against the baseline recipe and its previous stage.",
        ON_PAR,
        TABLE,
    ),
    "learning_rate": Page(
        "Learning rate",
        "What each rate of a last stage makes of the stage before.",
        LEARNING_RATE,
        TABLE,
    ),
    "reproduction": Page(
        "Reproduction",
        "What the study published, beside what was measured here.",
        REPRODUCTION,
        TABLE,
    ),
    "runtimes": Page(
        "Runtimes", "Seconds, memory and device of each job, as it last ran.", MADE, PROVENANCE
    ),
    "provenance": Page("Provenance", "What made these results.", MADE, PROVENANCE),
}
# The figures of each group: the part of the report that they are in, and what they are there.
GROUP_FIGURES = {
    "effectiveness": (EFFECTIVENESS, "figure"),
    "differences": (ON_PAR, "differences"),
    "queries": (ON_PAR, "query by query"),
}
PLAN = "plan"
# How files are called that have folders of other outputs beside them: no name may look like one.
FILES_AND_FOLDERS = (".parquet", ".log")
# No group can have the name of another table or page, or of the log of one.
TAKEN = {*PAGES, PLAN, "comparisons", "tables", "training"}
