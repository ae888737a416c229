"""What a job has finished, kept until a run of the workflow has accepted it.

Snakemake removes what it does not know to be whole. Where its own process was killed that is what
ended well without it, after hours. So it is kept beside the job's state: as links, which take no
room.
"""

import shutil
import sys
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path

from restage.files import complete, digest, link, remove
from restage.grid import manifests
from restage.grid.layout import MANIFESTS, STATES, Roots
from restage.grid.manifests import Job, Manifest, manifest_of
from restage.log import log
from restage.processes import locked

FINISHED = ".finished"


@contextmanager
def once(job: Job, script: str) -> Iterator[None]:
    """Have the block do the work of a job that has a state, and record it at its end.

    One process does it at a time; who comes meanwhile waits. The state is removed when the work is
    safe.

    Args:
        script: the file that the job is, where the workflow has it.

    Raises:
        SystemExit: the work has been done already; this process ends well.
    """
    state, roots = Path(job.params.state), manifests.roots_of(job)
    kept = Roots.of(f"{state}{FINISHED}", None)
    with locked(f"{state}.lock", _say_that_it_waits):
        if _restored(job, script, roots, kept):
            remove(state)
            sys.exit()
        yield
        manifests.record(job, script)
        _keep(job, roots, kept)
        remove(state)


def _say_that_it_waits() -> None:
    log.info("another process makes this already: waiting for it to end")


def release(roots: Roots, accepted: Container[str]) -> None:
    """Keep no longer what is among the outputs that a run has accepted."""
    for folder in list(STATES.at(roots).rglob(f"*{FINISHED}")):
        names = manifests.read_manifests(MANIFESTS.at(Roots.of(str(folder), None)))
        if all(str(Path(roots.results, name)) in accepted for name in names):
            shutil.rmtree(folder)


def _restored(job: Job, script: str, roots: Roots, kept: Roots) -> bool:
    """Put back what was kept, if it is all that a job makes, whole, and made as it would be now."""
    if not Path(kept.results).is_dir():
        return False
    now, outputs = manifests.about(job, script), list(map(str, job.output))
    if not all(_is_whole(_in(kept, roots, output), kept, now) for output in outputs):
        return False
    for output in outputs:
        of_kept = _in(kept, roots, output)
        _link(of_kept, output)
        _link(manifest_of(kept, of_kept), manifest_of(roots, output))
    log.info("this was finished when the workflow was stopped, and is taken as it is")
    return True


def _is_whole(output: Path, kept: Roots, now: Manifest) -> bool:
    made = Manifest.read(manifest_of(kept, output))
    decide = ("rule", "settings", "inputs", "code", "versions")
    try:
        alike = made and all(getattr(made, name) == getattr(now, name) for name in decide)
        return bool(made and alike and digest(output) == made.sha256)
    except OSError:
        return False


def _keep(job: Job, roots: Roots, kept: Roots) -> None:
    with complete(kept.results) as part:
        inside = Roots.of(str(part), None)
        for output in map(str, job.output):
            of_kept = _in(inside, roots, output)
            _link(output, of_kept)
            _link(manifest_of(roots, output), manifest_of(inside, of_kept))


def _in(kept: Roots, roots: Roots, output: str) -> Path:
    """Where an output is kept."""
    return Path(kept.results, Path(output).relative_to(roots.results))


def _link(source: str | Path, target: str | Path) -> None:
    """Give a file or a folder's files a second name."""
    with complete(target) as part:
        if Path(source).is_dir():
            shutil.copytree(source, part, symlinks=True, copy_function=link)
        else:
            link(source, part)
