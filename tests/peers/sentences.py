"""Image captions from a small grammar of our own: plausible, distinct, always the same, of 4 to 30
words. No corpus went into them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class Subject:
    """Who the caption is about; `is_plural` decides the verb's form."""

    text: str
    is_plural: bool = False


SUBJECTS = (
    Subject("a man"),
    Subject("a woman"),
    Subject("a young boy"),
    Subject("a little girl"),
    Subject("an old man"),
    Subject("an elderly woman"),
    Subject("a construction worker"),
    Subject("a street musician"),
    Subject("a tall teenager"),
    Subject("a bearded cook"),
    Subject("two men", True),
    Subject("two young women", True),
    Subject("three children", True),
    Subject("several people", True),
    Subject("many students", True),
    Subject("four friends", True),
)
ANIMALS = (
    Subject("a dog"),
    Subject("a brown horse"),
    Subject("a black cat"),
    Subject("a small bird"),
    Subject("two dogs", True),
    Subject("three goats", True),
)
# What one wears, then what several wear.
CLOTHES = (
    ("in a red shirt", "in red shirts"),
    ("in a blue jacket", "in blue jackets"),
    ("in a long white coat", "in long white coats"),
    ("with a straw hat", "with straw hats"),
    ("with a yellow backpack", "with yellow backpacks"),
    ("with curly hair", "with curly hair"),
    ("wearing sunglasses", "wearing sunglasses"),
    ("wearing an orange vest", "wearing orange vests"),
    ("wearing a striped scarf and black boots", "wearing striped scarves and black boots"),
    ("with a camera around the neck", "with cameras around their necks"),
)
# Verb in singular, plural and participle, then what follows it.
ACTIONS = (
    ("plays", "play", "playing", "the guitar"),
    ("reads", "read", "reading", "a newspaper"),
    ("rides", "ride", "riding", "a bicycle"),
    ("carries", "carry", "carrying", "a heavy box"),
    ("paints", "paint", "painting", "a wooden fence"),
    ("sells", "sell", "selling", "fresh fruit"),
    ("eats", "eat", "eating", "ice cream"),
    ("takes", "take", "taking", "pictures of a bridge"),
    ("throws", "throw", "throwing", "a ball"),
    ("repairs", "repair", "repairing", "an old motorcycle"),
    ("talks", "talk", "talking", "on the phone"),
    ("sits", "sit", "sitting", "on a bench"),
    ("waits", "wait", "waiting", "for the bus"),
    ("builds", "build", "building", "a sandcastle"),
    ("prepares", "prepare", "preparing", "a meal for five guests"),
)
MOVES = (
    ("runs", "run", "running", ""),
    ("walks", "walk", "walking", ""),
    ("sleeps", "sleep", "sleeping", ""),
    ("stands", "stand", "standing", ""),
    ("plays", "play", "playing", ""),
)
PLACES = (
    "on a street",
    "in a park",
    "at the beach",
    "outside",
    "near a river",
    "in front of a brick building",
    "next to a parked car",
    "under a large tree",
    "on the steps of a church",
    "in a crowded market",
    "beside a quiet lake",
    "at a train station",
)
NEARNESS = ("outside", "nearby", "indoors", "alone")
TIMES = (
    "on a sunny day",
    "at night",
    "in the rain",
    "in the late afternoon",
    "on a cold winter morning",
    "shortly after sunset",
)
SCENES = (
    "as people walk by",
    "while the sun goes down behind the mountains",
    "as a small crowd watches and claps",
    "while snow falls on the roofs of the town",
    "as cars and buses pass in the background",
    "while music comes from an open window",
)


class Grammar:
    """Draws sentences from a seeded generator."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def pick(self, items: Sequence[Item]) -> Item:
        """One of `items`; by random(), whose numbers Python promises never to change."""
        return items[int(self._random.random() * len(items))]

    def verb(self, subject: Subject, verbs: Sequence[tuple[str, str, str, str]]) -> str:
        """What `subject` does: `plays the guitar`, `is playing the guitar`."""
        singular, plural, participle, rest = self.pick(verbs)
        if self.pick((True, False)):
            form = ("are " if subject.is_plural else "is ") + participle
        else:
            form = plural if subject.is_plural else singular
        return f"{form} {rest}".rstrip()

    def move(self) -> str:
        subject = self.pick(ANIMALS + SUBJECTS)
        return f"{subject.text} {self.verb(subject, MOVES)} {self.pick(NEARNESS + PLACES)}"

    def act(self) -> str:
        subject = self.pick(SUBJECTS)
        return f"{subject.text} {self.verb(subject, ACTIONS)}"

    def act_somewhere(self) -> str:
        return f"{self.act()} {self.pick(PLACES)}"

    def dressed(self) -> str:
        subject = self.pick(SUBJECTS)
        clothes = self.pick(CLOTHES)[subject.is_plural]
        return f"{subject.text} {clothes} {self.verb(subject, ACTIONS)} {self.pick(PLACES)}"

    def dressed_at_a_time(self) -> str:
        return f"{self.dressed()} {self.pick(TIMES)}"

    def in_a_scene(self) -> str:
        return f"{self.dressed()} {self.pick(SCENES)}"

    def beside_an_animal(self) -> str:
        animal = self.pick(ANIMALS)
        return f"{self.dressed_at_a_time()}, and {animal.text} {self.verb(animal, MOVES)} nearby"

    def in_two_halves(self) -> str:
        return f"{self.dressed_at_a_time()}, while {self.act_somewhere()} {self.pick(SCENES)}"

    @property
    def forms(self) -> tuple[Callable[[], str], ...]:
        """From the shortest sentences to the longest."""
        return (
            self.move,
            self.act,
            self.act_somewhere,
            self.dressed,
            self.dressed_at_a_time,
            self.in_a_scene,
            self.beside_an_animal,
            self.in_two_halves,
        )


def captions(count: int) -> list[str]:
    """The first `count` captions, at most 2,000, short and long in turn; asking for fewer gives the
    beginning of more.
    """
    if count > 2000:
        raise ValueError(f"count is {count}: the shortest forms have no more than 2,000 captions")
    grammar = Grammar(seed=1)
    found: dict[str, None] = {}
    while len(found) < count:
        text = grammar.forms[len(found) % len(grammar.forms)]()
        if 4 <= len(text.split()) <= 30:
            found[text[0].upper() + text[1:] + "."] = None
    return list(found)
