"""Compile WordNet's nouns, and a classifier's classes, to categories.

    python benchmarks/words.py /usr/share/wordnet imagenet_synsets.txt

Reads ``data.noun`` and ``index.noun`` of WordNet 3.0 (Debian's ``wordnet-base``) and the 1,000 WordNet ids of
ImageNet's classes in their order (in the wheel ``timm``); writes ``nouns.txt.gz`` and ``classes.txt`` beside
``weights/words/categories.yaml``, which says whose kinds belong to which category.

A noun means its first sense that is a made thing, food, or a kind of something that a category names; only
where it has none, a plant. A sense belongs to the category of its nearest parent that has one. Nouns of
several words that belong nowhere are kept where their last word alone would say otherwise (a guinea pig).
"""

from __future__ import annotations

import gzip
import sys
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import yaml

FOLDER = Path(__file__).parents[1] / "src" / "cyclorama" / "weights" / "words"
CLASSES = {
    "television": ("television", "monitor", "home theater"),
    "mug": ("cup", "measuring cup"),
    "vegetables": ("corn", "ear"),
    "fruit": ("hip",),
    "table lamp": ("lampshade",),
    "book": ("binder", "book jacket"),
    "toy": ("piggy bank",),
    "musical instrument": ("drumstick",),
    "pan": ("Dutch oven",),
    "washing machine": ("dishwasher",),
    "supplement jar": ("pill bottle",),
    "wine": ("wine bottle",),
    "speaker": ("radio",),
    "laptop": ("space bar",),
    "cabinet": ("chest",),
    "camera": ("lens cap",),
    "studio": (
        *("lotion", "sunscreen", "hair spray", "beer bottle", "pop bottle", "whiskey jug", "water jug"),
        *("milk can", "plastic bag", "analog clock", "wall clock", "digital clock", "spatula", "maraca"),
        *("iPod", "chime", "gong", "ocarina"),
    ),
}
"""Classes that mean another category than WordNet's parents say: what a product that looks like one most
probably is. The last tell nothing: almost any bottle, dial, stick or plate looks like one to the network."""
MADE, PLANT = ("06", "13"), "20"
"""WordNet's files of artifacts and food, and of plants."""


class Synset(NamedTuple):
    file: str
    words: list[str]
    parents: list[str]


def read_synsets(folder: Path) -> dict[str, Synset]:
    """Offset to synset of ``data.noun``."""
    found = {}
    for line in (folder / "data.noun").read_text(encoding="utf-8").splitlines():
        if not line.startswith("  "):
            fields = line.partition("|")[0].split()
            end = 4 + 2 * int(fields[3], 16)
            pointers = zip(fields[end + 1 :: 4], fields[end + 2 :: 4])
            parents = [offset for symbol, offset in pointers if symbol in ("@", "@i")]
            found[fields[0]] = Synset(fields[1], fields[4:end:2], parents)
    return found


def read_senses(folder: Path) -> dict[str, list[str]]:
    """Noun to its synsets' offsets, the commonest first."""
    found = {}
    for line in (folder / "index.noun").read_text(encoding="utf-8").splitlines():
        if not line.startswith("  "):
            fields = line.split()
            found[fields[0]] = fields[6 + int(fields[3]) :]
    return found


class Nouns:
    """Which category a synset or noun belongs to."""

    def __init__(self, folder: Path) -> None:
        self.synsets, self.senses = read_synsets(folder), read_senses(folder)
        self.roots: dict[str, str] = {}
        text = (FOLDER / "categories.yaml").read_text(encoding="utf-8")
        for category, values in yaml.safe_load(text).items():
            for noun in values.get("nouns", ()):
                lemma, _, number = noun.partition("#")
                if lemma not in self.senses or int(number) > len(self.senses[lemma]):
                    sys.exit(f"{category}: WordNet has no {noun}")
                root = self.roots.setdefault(self.senses[lemma][int(number) - 1], category)
                if root != category:
                    sys.exit(f"{noun} belongs to {root} and to {category}")

    def place(self, offset: str) -> str | None:
        """The category of the nearest parent of the synset at ``offset``, itself included."""
        level, seen = [offset], set()
        while level:
            for one in level:
                if one in self.roots:
                    return self.roots[one]
            seen |= set(level)
            level = [p for one in level for p in self.synsets[one].parents if p not in seen]
        return None

    def place_noun(self, noun: str) -> str | None:
        """The category of what ``noun`` means in a shop."""
        placed = [(self.synsets[offset].file, self.place(offset)) for offset in self.senses[noun]]
        for file, category in placed:
            if file in MADE or (category and file != PLANT):
                return category
        return next((category for _, category in placed if category), None)


def main(wordnet: Path, classes: Path) -> None:
    nouns = Nouns(wordnet)
    placed = {noun.replace("_", " "): nouns.place_noun(noun) for noun in nouns.senses}
    kept = defaultdict(list)
    for noun, category in placed.items():
        if category or (" " in noun and placed.get(noun.rpartition(" ")[2])):
            kept[category or "studio"].append(noun)
    lines = [f"{category}\t{','.join(sorted(kept[category]))}\n" for category in sorted(kept)]
    data = gzip.compress("".join(lines).encode(), mtime=0)
    (FOLDER / "nouns.txt.gz").write_bytes(data)
    meant = {name: category for category, names in CLASSES.items() for name in names}
    rows = []
    for identifier in classes.read_text(encoding="utf-8").split():
        name = nouns.synsets[identifier[1:]].words[0].replace("_", " ")
        category = meant.get(name) or nouns.place(identifier[1:])
        rows.append(f"{name}\t{category or 'studio'}\n")
    (FOLDER / "classes.txt").write_text("".join(rows), encoding="utf-8")
    print(f"{sum(map(len, kept.values()))} nouns, {len(data)} bytes; {len(rows)} classes")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
