"""Manifests: of what each output was made, beside the results as JSON.

A manifest travels with the results. By it an output is known to fit the configuration, whatever
became of the times of files and of Snakemake's own notes.
"""

import json
import os
import resource
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from restage import log, versions
from restage.code import Code
from restage.errors import InputError
from restage.files import complete, digest, files_in, size
from restage.grid import times
from restage.grid.layout import MANIFEST, PARSED, SEEN, Roots

# What decides nothing of an output, or is in its settings.
SILENT = ["restage.grid", "restage.log", "restage.errors", "restage.devices"]
SILENT += ["restage.children", "restage.code", "restage.processes", "restage.versions"]
LARGE = 1 << 20  # bytes

Inputs = dict[str, dict[str, str | None]]  # of each input by its name: content by path


class Job(Protocol):
    """What a script is given by Snakemake, as far as a manifest tells it."""

    rule: str
    wildcards: Any
    params: Any
    input: Any
    output: Any
    log: Any
    config: Mapping[str, Any]


class Beside(str):
    """What a job uses besides its inputs and outputs, mostly a path; it decides nothing of them."""


@dataclass(frozen=True)
class Manifest:
    """Of what an output was made.

    Args:
        settings: its rule's parameters, in plain values.
        inputs: what tells their content from any other; None where that is not known.
        sha256: the same of the output.
        size: bytes of the output.
        code: what tells the script and the modules that made it from any others.
        rejected: somebody wants it made again.
    """

    rule: str
    wildcards: dict[str, str]
    study: str | None
    settings: dict[str, Any]
    inputs: Inputs
    sha256: str
    size: int
    code: dict[str, str]
    commit: str
    versions: dict[str, str]
    device: str
    made: str
    seconds: float
    cpu_seconds: float
    memory_mb: float
    rejected: bool = False

    def write(self, path: str | os.PathLike) -> None:
        with complete(path) as part:
            part.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, path: str | os.PathLike) -> "Manifest | None":
        """The manifest in a file; None where there is none, or one of another kind."""
        try:
            return cls(**json.loads(Path(path).read_text()))
        except (OSError, ValueError, TypeError):
            return None


def record(job: Job, script: str) -> None:
    """Write the manifests of what a job made, at its end.

    Args:
        script: the file that it is, where the workflow has it.

    Raises:
        InputError: a file that it was made from lies in the future, or it is gone already.
    """
    made, roots = about(job, script), roots_of(job)
    for output in map(str, job.output):
        if not Path(output).exists():
            raise InputError(f"{output}: was removed: another run of the workflow makes it anew")
        one = replace(made, sha256=digest(output), size=size(output))
        one.write(manifest_of(roots, output))
    # Where a clock was set back meanwhile, Snakemake would remove what is older than its inputs.
    times.mend(job.input, roots)


def roots_of(job: Job) -> Roots:
    return Roots.of(job.config["results"], job.config["study"])


def about(job: Job, script: str) -> Manifest:
    """The manifest of what a job makes now, but for what tells the output itself."""
    params, (cpu_seconds, memory_mb) = dict(job.params.items()), _used()
    roots = roots_of(job)
    return Manifest(
        rule=job.rule,
        wildcards=dict(job.wildcards.items()),
        study=job.config["study"],
        settings=settings_of(params),
        inputs=inputs_of(job.input, Contents(roots)),
        sha256="",
        size=0,
        code=Code(PARSED.at(roots)).fingerprints(script, classes_in(params.values()), SILENT),
        commit=versions.commit(Path(script).parent),
        versions=versions.versions(),
        device=log.facts(job.log[0]).get("device", ""),
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(log.seconds(), 3),
        cpu_seconds=cpu_seconds,
        memory_mb=memory_mb,
    )


def read_manifests(folder: str | os.PathLike) -> dict[str, Manifest]:
    """Return the manifests in a folder by the paths of their outputs below the results folder."""
    files = sorted(Path(folder).rglob("*.json"))
    read = {str(file.relative_to(folder).with_suffix("")): Manifest.read(file) for file in files}
    return {path: manifest for path, manifest in read.items() if manifest}


def change(path: str | os.PathLike, **others: Any) -> None:
    """Write other values into a manifest."""
    if manifest := Manifest.read(path):
        replace(manifest, **others).write(path)


def manifest_of(roots: Roots, output: str | os.PathLike) -> Path:
    """Where the manifest of an output is."""
    return MANIFEST.at(roots, path=Path(output).relative_to(roots.results).as_posix())


def changed_at(path: Path) -> int:
    """When a file or a folder's files last changed (ns)."""
    files = files_in(path) if path.is_dir() else [path]
    return max((file.stat().st_mtime_ns for file in files), default=0)


def _used() -> tuple[float, float]:
    """Seconds of a processor and the most memory (MB) of this process and those that it started."""
    own, others = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    cpu_seconds = sum(used.ru_utime + used.ru_stime for used in (own, others))
    return round(cpu_seconds, 3), round(max(own.ru_maxrss, others.ru_maxrss) / 1e3, 1)


# --- settings and inputs --------------------------------------------------------------------------


def settings_of(params: Mapping[str, Any]) -> dict[str, Any]:
    """A rule's parameters in plain values, as JSON gives them back.

    Parts of the grid are without the fields that decide nothing (``repr=False``), with their class.
    """
    plain = {k: _plain(value) for k, value in params.items() if not isinstance(value, Beside)}
    return json.loads(json.dumps(plain, sort_keys=True))


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        kept = {one.name: _plain(getattr(value, one.name)) for one in fields(value) if one.repr}
        return {"class": type(value).__name__, **kept}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value


def classes_in(values: Iterable[Any]) -> Iterator[str]:
    """The modules of the classes of some parts of the grid and of what is in those."""
    for value in values:
        if is_dataclass(value):
            yield type(value).__module__
            yield from classes_in(getattr(value, one.name) for one in fields(value))


class Contents:
    """What tells the content of files and of outputs: of these as their manifests say it."""

    def __init__(self, roots: Roots):
        self.roots = roots
        self.known: dict[str, str | None] = {}

    def __getitem__(self, path: str) -> str | None:
        """None where it is not known: a folder without a manifest, or a file that is not there."""
        if path not in self.known:
            self.known[path] = self._content(path)
        return self.known[path]

    def _content(self, path: str) -> str | None:
        if self.roots.relative(path).startswith("<"):
            manifest = Manifest.read(manifest_of(self.roots, path))
            if manifest:
                return self._of_output(Path(path), manifest)
        return self._of_file(path) if Path(path).is_file() else None

    def _of_output(self, path: Path, manifest: Manifest) -> str:
        """As it was made; where it is newer than its manifest (copied, or changed), as it is."""
        file = manifest_of(self.roots, path)
        if not path.exists() or changed_at(path) <= file.stat().st_mtime_ns:
            return manifest.sha256
        content = digest(path)
        if content == manifest.sha256:
            os.utime(file)  # to be taken at its word from now on
        return content

    def _of_file(self, path: str) -> str:
        """A large file is read once, as long as its size and its time stay."""
        name, made = os.path.abspath(path), os.stat(path)
        if made.st_size < LARGE:
            return digest(path)
        seen = SEEN.at(self.roots)
        entry = [made.st_size, made.st_mtime_ns]
        try:
            known = json.loads(seen.read_text())
        except (OSError, ValueError):
            known = {}
        if known.get(name, [])[:2] != entry:
            log.log.info("reading %s to see what it has", path)
            known[name] = [*entry, digest(path)]
            with complete(seen) as part:
                part.write_text(json.dumps(known, indent=1))
        return known[name][2]


def inputs_of(inputs: Any, contents: Contents) -> Inputs:
    """The content of a job's inputs (Snakemake's ``InputFiles``) by their names and paths."""
    named = {name: [value] if isinstance(value, str) else value for name, value in inputs.items()}
    others = [path for path in inputs if not any(path in paths for paths in named.values())]
    return {
        name: {contents.roots.relative(path): contents[str(path)] for path in paths}
        for name, paths in (named | ({"": others} if others else {})).items()
        if paths
    }
