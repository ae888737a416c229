"""Which outputs still fit the configuration and their inputs, as their manifests say."""

import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from restage.errors import InputError
from restage.grid import times
from restage.grid.layout import MANIFESTS
from restage.grid.manifests import Contents, Inputs, Manifest, manifest_of, read_manifests

Job = tuple[str, tuple[tuple[str, str], ...]]  # a rule and wildcards, by their names
# What the studies of a results folder make of the same models.
SHARED = {"score", "rerank", "measure", "measure_first_stages"}
# Makes what nobody asks for but other jobs: where it is missing it is not missed.
INSIDE = {
    "text_store",
    "token_store",
    "qrels",
    "shared_index",
    "index",
    "mine",
    "download",
    "score",
}


class Needs(NamedTuple):
    """What an output would be made from now.

    Args:
        paths: of the inputs.
        outputs: all that the same job makes.
        code: of the script and its modules, as a manifest has it.
    """

    settings: dict[str, Any]
    inputs: Inputs
    paths: list[str]
    outputs: list[str]
    code: dict[str, str]


@dataclass(frozen=True)
class Made:
    """An output that has been made, with its manifest and what it would be made from now.

    Args:
        content: what it has now.
    """

    path: str
    content: str | None
    manifest: Manifest
    needs: Needs

    @property
    def job(self) -> Job:
        """The rule and the wildcards that it is made by."""
        return self.manifest.rule, tuple(sorted(self.manifest.wildcards.items()))

    @cached_property
    def changes(self) -> list[str]:
        """What is not as it was when it was made, each as a line; nothing: it fits."""
        asked = ["it was rejected"] if self.manifest.rejected else []
        if self.content != self.manifest.sha256:
            asked.append("it was changed after it was made")
        settings = differences(self.manifest.settings, self.needs.settings)
        return [*asked, *settings, *_changed_inputs(self.manifest.inputs, self.needs.inputs)]

    @property
    def other_code(self) -> list[str]:
        """The modules that are not as they were when it was made."""
        then, now = self.manifest.code, self.needs.code
        return [name for name in then | now if then.get(name) != now.get(name)]

    @property
    def certain(self) -> bool:
        """Whether it is known to fit: the content of every input is known."""
        both = *self.manifest.inputs.values(), *self.needs.inputs.values()
        return not self.changes and all(content for inputs in both for content in inputs.values())


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each setting that differs: its name with dots, its old and its new value."""
    one, other = _flat(then), _flat(now)
    for name in one | other:
        before, after = one.get(name), other.get(name)
        if before != after and isinstance(before, list) and isinstance(after, list):
            yield f"{name}: {_in_lists(before, after)}"
        elif before != after:
            yield f"{name}: {before} -> {after}"


def _flat(settings: Mapping[str, Any], before: str = "") -> dict[str, object]:
    """Nested settings as one mapping, by names with dots."""
    flat: dict[str, object] = {}
    for name, value in settings.items():
        nested = isinstance(value, Mapping) and value
        flat |= _flat(value, f"{before}{name}.") if nested else {f"{before}{name}": value}
    return flat


def _in_lists(then: list, now: list) -> str:
    gone, new = [x for x in then if x not in now], [x for x in now if x not in then]
    parts = [f"{sign} {_short(x)}" for sign, some in (("-", gone), ("+", new)) for x in some]
    return ", ".join(parts) or "in another order"


def _short(value: Any) -> str:
    return "/".join(map(str, value)) if isinstance(value, list) else str(value)


def _changed_inputs(then: Inputs, now: Inputs) -> Iterator[str]:
    for name in then | now:
        one, other = then.get(name, {}), now.get(name, {})
        if len(one) == len(other) == 1:  # it may have moved
            one = dict(zip(other, one.values(), strict=True))
        for path in one | other:
            if path not in other:
                yield f"without {path}"
            elif path not in one:
                yield f"with {path}"
            elif one[path] != other[path] and one[path] and other[path]:
                yield f"{path}: other content"


class Standing:
    """All outputs that have been made.

    Args:
        contents: of the inputs and outputs.
        needs: what an output of a rule and its wildcards would be made from; None: the grid has no
            such output.
    """

    def __init__(self, contents: Contents, needs: Callable[[str, Mapping[str, str]], Needs | None]):
        self.contents, self.roots, self._needs = contents, contents.roots, needs
        self._told: set[tuple[str, ...]] = set()

    @cached_property
    def outputs(self) -> dict[str, Made]:
        """Those of this grid that have a manifest, by their paths as manifests name them."""
        return {self.roots.relative(made.path): made for made in self._outputs()}

    def _outputs(self) -> Iterator[Made]:
        known: dict[str, Needs | None] = {}
        for name, manifest in read_manifests(MANIFESTS.at(self.roots)).items():
            path, job = str(Path(self.roots.results, name)), f"{manifest.rule} {manifest.wildcards}"
            if job not in known:
                known[job] = self._needs(manifest.rule, manifest.wildcards)
            needs = known[job]
            if needs and path in needs.outputs:
                yield Made(path, self.contents[path], manifest, needs)

    @cached_property
    def changed(self) -> dict[Job, list[str]]:
        """What has changed, by the jobs that must be done again for it."""
        changed: dict[Job, list[str]] = {}
        for made in self.outputs.values():
            if made.changes:
                lines = changed.setdefault(made.job, [])
                lines += [line for line in made.changes if line not in lines]
        return changed

    def told(self, job: Job) -> list[str]:
        """Why a job is done again, and all others of its rule for the same reason; told once."""
        reason = self._reason(job)
        if reason in self._told:
            return []
        self._told.add(reason)
        rule, *changes = reason
        alike = self._alike[reason]
        which = " ".join([rule, _some(list(filter(None, alike)))]).rstrip()
        return [f"again: {which}: {_some(self.changed[job] if len(alike) < 2 else changes, '; ')}"]

    @cached_property
    def _alike(self) -> dict[tuple[str, ...], dict[str, None]]:
        """The wildcards of the jobs that are done again for each reason, in their order."""
        alike: dict[tuple[str, ...], dict[str, None]] = {}
        for made in self.outputs.values():
            if made.job in self.changed:
                name = "/".join(made.manifest.wildcards.values())
                alike.setdefault(self._reason(made.job), {})[name] = None
        return alike

    def _reason(self, job: Job) -> tuple[str, ...]:
        """A job's rule and what has changed for it, in words that others of the rule share."""
        rule, wildcards = job
        changes = self.changed[job]
        for name, value in wildcards:
            between = rf"(?<=/){re.escape(value)}(?=[/.:]|$)"
            changes = [re.sub(between, f"{{{name}}}", change) for change in changes]
        return rule, *changes

    def again(self) -> dict[str, tuple[str, str]]:
        """The rule of each output that is made again and why, by its path.

        What changed, that it is missing, or the rule that makes what it is made from.
        """
        changed = {path: self.changed.get(made.job, []) for path, made in self.outputs.items()}
        why = {path: _some(lines, "; ") for path, lines in changed.items()}
        for path, made in self.outputs.items():
            if not Path(made.path).exists() and made.manifest.rule not in INSIDE:
                why[path] = "missing"
        left = [path for path, reason in why.items() if reason]
        while left:
            cause = left.pop(0)
            for user in self._users.get(cause, []):
                if not why[user]:
                    why[user] = f"after {self.outputs[cause].manifest.rule}"
                    left.append(user)
        return {
            path: (self.outputs[path].manifest.rule, reason)
            for path, reason in why.items()
            if reason
        }

    @cached_property
    def _users(self) -> dict[str, list[str]]:
        """The outputs that are made from each path."""
        users: dict[str, list[str]] = {}
        for path, made in self.outputs.items():
            for used in (used for paths in made.needs.inputs.values() for used in paths):
                users.setdefault(used, []).append(path)
        return users

    @cached_property
    def _stale(self) -> list[Made]:
        """What is there, fits, and was made by other code."""
        there = (made for made in self.outputs.values() if Path(made.path).exists())
        return [made for made in there if made.other_code and not made.changes]

    def by_other_code(self) -> dict[str, list[str]]:
        """What other code made, by path below the results folder, and the modules that differ."""
        return {
            Path(made.path).relative_to(self.roots.results).as_posix(): made.other_code
            for made in self._stale
        }

    def code_of_stale(self) -> dict[str, dict[str, str]]:
        """The code as it is that would make what other code made, by the manifests of that."""
        return {str(manifest_of(self.roots, made.path)): made.needs.code for made in self._stale}

    def note(self) -> str | None:
        """What to say at the end of a run of the outputs that other code made; None: nothing."""
        if not self._stale:
            return None
        rules = Counter(made.manifest.rule for made in self._stale)
        kinds = ", ".join(f"{rule} {count:,}" for rule, count in rules.items())
        return (
            f"{rules.total():,} outputs were made by other code ({kinds}) and stand; "
            "`snakemake stale` lists them, `snakemake reject` has them made again, "
            "`snakemake accept` ends this note"
        )

    def refuse(self, study: str | None) -> None:
        """Check that nothing that another study made would be made otherwise.

        Scores, runs and measures are: a study with other first stages scores other pairs.

        Raises:
            InputError: the first such output, and what differs.
        """
        for made in self.outputs.values():
            other = made.manifest.study
            if made.manifest.rule in SHARED or other == study or not Path(made.path).exists():
                continue
            if made.changes:
                by = f"study '{other}'" if other else "the grid without 'study'"
                raise InputError(
                    f"{made.path} was made by {by}, and would be made anew for this one: "
                    f"{_some(made.changes, '; ')}; give what differs another name, or remove it"
                )

    def settle(self) -> None:
        """Make no output that is known to fit older than what it was made from, or from the future.

        Clocks are set back, copies have the time of copying, and a file that is written anew may
        have the same bytes.
        """
        there = (made for made in self.outputs.values() if Path(made.path).exists())
        fits = {made.path: made for made in there if made.certain}
        known: dict[str, int] = {}
        now = time.time_ns()

        def settled(path: str) -> int:
            if path not in known:
                known[path] = times.time_of(path)
                if made := fits.get(path):
                    newest = max(map(settled, made.needs.paths), default=0)
                    wanted = max(newest, min(known[path], now))
                    if known[path] != wanted:
                        times.set_time(path, wanted)
                        os.utime(manifest_of(self.roots, path))
                        known[path] = wanted
            return known[path]

        for path in fits:
            settled(path)


def _some(names: list[str], joint: str = ", ") -> str:
    """The first of many names, and how many more there are."""
    more = [f"{len(names) - 3} more"] if len(names) > 3 else []
    return joint.join([*names[:3], *more])
