"""What training, evaluation and figures ask of a set of captioned pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from PIL import Image

from cacr.regions import Regions


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture for a model: its regions, its pixels, or both, each read when asked for."""

    image_id: str
    """Its name, in records and messages."""
    read_regions: Callable[[], Regions] | None = None
    """What gives its regions; None where there are none."""
    read_image: Callable[[], Image.Image] | None = None
    """What gives its pixels; None where there are none."""

    @property
    def regions(self) -> Regions:
        """The picture's regions. Raises ValueError where there are none."""
        if self.read_regions is None:
            raise ValueError(
                f"no region features for picture {self.image_id}, and this model needs them; make them with "
                "`cacr features FOLDER -o features.safetensors`, and give that file: --features FILE (features=)"
            )
        return self.read_regions()

    @property
    def image(self) -> Image.Image:
        """The picture's pixels, RGB. Raises ValueError where there are none."""
        if self.read_image is None:
            raise ValueError(
                f"no pixels for picture {self.image_id}; give the folder of pictures: --images FOLDER (images=)"
            )
        return self.read_image()


class Answered(str):
    """A question with an answer, as a sentence that can be matched; a model that answers questions sees both parts.

    Examples:
        >>> a = Answered("Is the dog running?", "Yes")
        >>> a, a.question, a.answer
        ('Is the dog running? Yes', 'Is the dog running?', 'Yes')
    """

    question: str
    answer: str

    def __new__(cls, question: str, answer: str) -> Answered:
        """The sentence."""
        self = super().__new__(cls, f"{question} {answer}")
        self.question, self.answer = question, answer
        return self


class CaptionSet(Protocol):
    """Pictures with captions. Caption c is true of picture ``image_of_caption[c]``."""

    image_ids: Sequence[str]
    """Names of the pictures."""
    captions: Sequence[str]
    """All sentences; a picture may have several."""
    image_of_caption: Sequence[int]
    """For each caption the index of its picture in ``image_ids``."""

    def picture(self, image: int) -> Picture:
        """The picture at an index."""
        ...

    def describes(self, caption: int, image: int) -> bool:
        """Whether the caption is true of the picture, so that it is no negative for it."""
        ...

    def alike(self, image: int) -> Sequence[int]:
        """Other pictures made of the same things, the first candidates for negatives. May be empty."""
        ...


def captions_of_images(pairs: CaptionSet) -> list[list[int]]:
    """Caption indices of each picture."""
    found: list[list[int]] = [[] for _ in pairs.image_ids]
    for caption, image in enumerate(pairs.image_of_caption):
        found[image].append(caption)
    return found
