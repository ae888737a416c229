"""Lexical models for text in any script: PISA over words that we find, fold and stem.

PISA's own tokenizer knows ASCII letters and digits only. So passages and queries come to it as
words of these: a word with other letters as the hexadecimal digits of its UTF-8.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from restage.errors import InputError
from restage.files import complete
from restage.first_stage.engine import Cost
from restage.first_stage.pisa import BYTES_PER_TOKEN, Pisa, build
from restage.grid.settings import Compute

if TYPE_CHECKING:
    from restage.collections.texts import TextStore

ASCII_WORD = re.compile("[a-z0-9]+")
# Scripts that put no blanks between words, and Hangul, whose words have their particles attached.
SCRIPTS = ["Han", "Hira", "Kana", "Hang", "Thai", "Laoo", "Khmr", "Mymr"]
UNSPACED = "".join(rf"\p{{scx={script}}}" for script in SCRIPTS)
UNSEEN = dict.fromkeys(map(ord, "\u00ad\u200c\u200d\u2060\ufeff"))  # in a word, and no part of it
ESCAPE = "0x"


@dataclass(frozen=True)
class Unicode(Pisa):
    """Words as Unicode has them, no stop words, Snowball stems of one language if it is given.

    Scripts without blanks between words are found by pairs of characters, as by Lucene's analyser
    for Chinese, Japanese and Korean; passages are indexed by single characters besides, for queries
    of one.
    """

    shares_index: ClassVar[bool] = False
    stops: ClassVar[str] = "none"

    language: str | None = None

    def cost(self, passages: int, length: float) -> Cost:
        return Cost(flop=0, size=BYTES_PER_TOKEN * passages * length)

    def index(
        self,
        passages: "TextStore",
        folder: Path,
        compute: Compute,
        state: Path,
        shared: Path | None,
    ) -> None:
        """Build the index of one weighting model.

        Raises:
            InputError: no passage has a word.
        """
        if not any(self.words(text) for _, text in passages):
            name = passages.folder.name
            raise InputError(f"{name}: no passage has a word; nothing could be found in it")
        with complete(folder) as part:
            build(passages, part, folder, compute.threads, self.of_passage, stemmer="none")
            self.add_bounds(part, folder)

    def of_passage(self, text: str) -> str:
        """The text of a passage as PISA gets it."""
        return " ".join(self.words(text, singles=True))

    def for_pisa(self, query: str) -> str:
        return " ".join(self.words(query))

    def words(self, text: str, singles: bool = False) -> list[str]:
        """Return the words of a text as PISA can take them.

        Args:
            singles: whether single characters stand beside pairs.
        """
        if text.isascii() and self.language != "turkish":
            found, pairs = ASCII_WORD.findall(text.lower()), list[str]()
        else:
            found, pairs = _split(self._folded(text), singles)
        return [*map(_escaped, _stems(self.language)(found)), *map(_escaped, pairs)]

    def _folded(self, text: str) -> str:
        text = unicodedata.normalize("NFKC", text).translate(UNSEEN)
        if self.language == "turkish":  # whose I without a dot is another letter
            text = text.replace("\u0130", "i").replace("I", "\u0131")
        return text.casefold()


@cache
def _stems(language: str | None) -> Callable[[list[str]], list[str]]:
    if language is None:
        return list
    import Stemmer

    return Stemmer.Stemmer(language, 0).stemWords  # its cache takes longer than stems


def _split(text: str, singles: bool) -> tuple[list[str], list[str]]:
    """The words between blanks, and pairs of characters where a script has none."""
    word, character = _patterns()
    words, pairs = [], list[str]()
    for match in word.finditer(text):
        if match[1] is None:
            words.append(match[0])
            continue
        characters = character.findall(match[0])
        pairs += map("".join, pairwise(characters))
        if singles or len(characters) == 1:
            pairs += characters
    return words, pairs


@cache
def _patterns() -> tuple[Any, Any]:
    """A word, the first group one of a script without blanks, and a character as people see it."""
    import regex

    letters = r"[\p{L}\p{M}\p{N}]"
    word = rf"(?V1)([{letters}&&[{UNSPACED}]]+)|[{letters}--[{UNSPACED}]]+"
    return regex.compile(word), regex.compile(r"\X")


def _escaped(word: str) -> str:
    """The word in ASCII letters and digits, each word another one."""
    plain = word.isascii() and not word.startswith(ESCAPE)
    return word if plain else ESCAPE + word.encode().hex()
