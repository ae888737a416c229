"""Recipes: objectives in sequence, their stages, and the recipes that a sweep makes of one."""

from dataclasses import dataclass

JOINT = "-"


@dataclass(frozen=True)
class Recipe:
    """Objectives applied in sequence, written ``CL-KD``."""

    objectives: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> "Recipe":
        return cls(tuple(text.split(JOINT)))

    def __str__(self) -> str:
        return JOINT.join(self.objectives)

    @property
    def last(self) -> str:
        """The objective of its last stage."""
        return self.objectives[-1]

    @property
    def previous(self) -> "Recipe | None":
        """The recipe whose checkpoint the last stage starts from; None: the backbone."""
        return Recipe(self.objectives[:-1]) if len(self.objectives) > 1 else None

    @property
    def prefixes(self) -> list["Recipe"]:
        """The recipes of its stages, from the first stage to itself."""
        return [Recipe(self.objectives[:end]) for end in range(1, len(self.objectives) + 1)]
