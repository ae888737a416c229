"""What CONTRIBUTING says it takes to add an engine and a list format, followed in a copy."""

import json
import shutil

import pandas as pd

from restage.rerank.runs import read_run
from tests.workflow.runs import ROOT, make, read_config, write_config

ENGINE = '''
"""The shortest passages that have a word of the query."""

from dataclasses import dataclass

from restage.first_stage.engine import Cost, Engine


@dataclass(frozen=True)
class Shortest(Engine):
    least: int = 1

    def cost(self, passages, length):
        return Cost(flop=0, size=4 * passages * length)

    def index(self, passages, folder, compute, state, shared):
        folder.mkdir(parents=True)
        lines = (f"{number}\\t{text}\\n" for number, text in passages)
        (folder / "texts.tsv").write_text("".join(lines))

    def retrieve(self, index, queries, depth, compute):
        import pandas as pd

        texts = [line.split("\\t") for line in (index / "texts.tsv").read_text().splitlines()]
        rows = []
        for query, words in queries:
            words = set(words.lower().split())
            near = lambda text: len(words & set(text.lower().split())) >= self.least
            hits = [(len(text), passage) for passage, text in texts if near(text)]
            rows += [(query, passage, -float(size)) for size, passage in sorted(hits)[:depth]]
        return pd.DataFrame(rows, columns=["query_id", "doc_id", "score"])
'''
FORMAT = '''
"""query, passage and score on a line, tab separated, best first."""

from dataclasses import dataclass
from itertools import groupby

from restage.grid.settings import File
from restage.ranked_lists.list_format import ListFormat


@dataclass(frozen=True)
class Table(ListFormat):
    source: File

    @classmethod
    def of(cls, settings, **others):
        return super().of(settings, source=File.of(settings["source"]), **others)

    @property
    def files(self):
        return {"source": self.source}

    def read(self, paths, stats):
        from restage.ranked_lists.ingest import blocks_of

        rows = [line.split("\\t") for line in open(paths["source"])]
        stats.lines = len(rows)
        lists = [(q, [row[1] for row in some]) for q, some in groupby(rows, lambda row: row[0])]
        stats.lists = len(lists)
        return blocks_of(iter(lists))
'''
SCHEMA_OF_ENGINE = """
  shortest:
    description: The shortest passages that have a word of the query.
    additionalProperties: false
    properties:
      engine: {const: shortest}
      least: {description: Words of the query at least., type: integer, minimum: 1, default: 1}
      depth: {$ref: "#/$defs/depth"}
"""
SCHEMA_OF_FORMAT = """
  table:
    description: query, passage and score on a line, tab separated, best first.
    additionalProperties: false
    required: [source, collection, queries]
    properties:
      format: {const: table}
      source: {$ref: "#/$defs/file"}
      collection: {description: The collection of the passages., type: string}
      queries: {$ref: "#/$defs/texts_and_qrels"}
      qrels: {$ref: "#/$defs/qrels"}
      valid_fraction: {$ref: "#/$defs/valid_fraction"}
      split_seed: {$ref: "#/$defs/split_seed"}
"""


def edit(path, old, new):
    text = path.read_text()
    assert old in text, (path, old)
    path.write_text(text.replace(old, new, 1))


def extended(project):
    """A copy of the project with the two modules, a registry line each, and the schema."""
    for name in ("Snakefile", "rules", "workflow", "envs", "src"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, project / name)
    rooms, schema = project / "src/restage", project / "workflow/schemas/config.schema.yaml"
    (rooms / "first_stage/shortest.py").write_text(ENGINE)
    (rooms / "ranked_lists/table.py").write_text(FORMAT)
    for room, name, kind in (
        ("first_stage", "shortest", "Shortest"),
        ("ranked_lists", "table", "Table"),
    ):
        registry = rooms / room / "__init__.py"
        with registry.open("a") as file:
            file.write(f"\nfrom restage.{room}.{name} import {kind}\n")
            kinds = "ENGINES" if room == "first_stage" else "FORMATS"
            file.write(f'{kinds}["{name}"] = {kind}\n')
    edit(schema, "enum: [pisa, ", "enum: [shortest, pisa, ")
    edit(schema, "enum: [trec_run, ", "enum: [table, trec_run, ")
    for key, name, before in (("engine", "shortest", "pisa"), ("format", "table", "trec_run")):
        line = "      - if: {{properties: {{{0}: {{const: {1}}}}}}}\n"
        then = f'        then: {{$ref: "#/$defs/{name}"}}\n'
        old = line.format(key, before)
        edit(schema, old, line.format(key, name) + then + old)
    with schema.open("a") as file:
        file.write(SCHEMA_OF_ENGINE + SCHEMA_OF_FORMAT)
    return project


def test_an_engine_and_a_list_format_are_a_module_a_line_and_the_schema(small_grid, tmp_path):
    project = extended(tmp_path)
    folder = small_grid(tmp_path / "grid")
    config = read_config(folder)
    run = pd.read_csv(folder / "data/colbert.run", sep=r"\s+", header=None, dtype=str)
    run[[0, 2, 4]].to_csv(folder / "lists.tsv", sep="\t", header=False, index=False)
    config["first_stages"] = {"short": {"engine": "shortest", "least": 2, "depth": 10}}
    common = {k: v for k, v in config["ranked_lists"]["colbert"].items() if k != "format"}
    config["ranked_lists"] = {
        "table": {"format": "table", **common, "source": {"path": "lists.tsv"}},
        "mined": {"format": "first_stage", "first_stage": "short", **common},
    }
    del config["ranked_lists"]["mined"]["source"]
    objectives = config["objectives"]
    config["objectives"] = {"CL": objectives["CL"] | {"ranked_lists": "table"}}
    config["recipes"] = ["CL"]
    write_config(folder, config)
    for target in ("plan", "all"):
        own = {"PYTHONPATH": str(project / "src")}
        make(folder, target, snakefile=project / "Snakefile", environment=own)
    assert (read_run(folder / "out/first_stage/short/test.run.gz")["score"] < 0).all()
    assert (folder / "out/tables/small.csv").is_file()
    stats = json.loads((folder / "out/ranked_lists/table/stats.json").read_text())
    assert stats["lists"] == stats["kept"] == run[0].nunique()
    plan = pd.read_csv(folder / "out/tables/plan.csv").set_index("job")
    assert "indexes/short/gazetteer" in plan.index and "mined/mined.run.gz" in plan.index
