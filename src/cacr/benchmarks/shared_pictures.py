"""Examples that share pictures, directly or over others: they rise and fall together, and make one cluster.

The first picture alone does not tell them: where an example has several, another may share its second.
"""

from __future__ import annotations

from collections.abc import Sequence


def clusters_of_pictures(pictures: Sequence[Sequence[str]]) -> list[str]:
    """The cluster of each example: the name of one of the pictures that its cluster holds.

    Args:
        pictures: Per example, the names of its pictures, one or more.

    Returns:
        Equal for two examples if a chain of examples that share a picture leads from one to the other. Where an
        example shares nothing, it is the name of its first picture.

    Raises:
        ValueError: An example has no picture.

    Examples:
        >>> clusters_of_pictures([("a", "b"), ("c", "d"), ("e", "b")])
        ['e', 'c', 'e']
    """
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = parent[parent[name]]  # the way is shorter next time
            name = parent[name]
        return name

    for number, names in enumerate(pictures):
        if not names:
            raise ValueError(f"example {number} has no picture; expected one or more")
        for other in names[1:]:
            parent[root(other)] = root(names[0])
    return [root(names[0]) for names in pictures]
