"""From the YAML to the grid, checked, or one line that says what is wrong and where."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from restage.grid.build import build
from restage.grid.checks import check
from restage.grid.grid import Grid
from restage.grid.origin import Wrong
from restage.grid.schema import complete
from restage.grid.settings import Engine, ListFormat


def load(
    config: Mapping[str, Any],
    schema: str | os.PathLike,
    engines: Mapping[str, type[Engine]],
    formats: Mapping[str, type[ListFormat]],
    files: Sequence[str | os.PathLike] = (),
) -> tuple[dict[str, Any], Grid]:
    """Return the configuration, complete and checked, as a mapping and as objects.

    Args:
        config: as read from YAML.
        schema: the JSON schema, as YAML.
        engines, formats: what ``engine`` and ``format`` may name
            (``first_stage.ENGINES``, ``ranked_lists.FORMATS``).
        files: the YAML files it was read from, to tell the line of an error.

    Raises:
        InputError: one line with the place, what is wrong there and what to write instead.
    """
    whole, origin = complete(config, schema, files)
    try:
        grid = build(whole, engines, formats)
        check(grid)
    except Wrong as wrong:
        raise origin.line(wrong) from None
    whole["statistics"]["baseline_recipe"] = grid.statistics.baseline_recipe
    return whole, grid
