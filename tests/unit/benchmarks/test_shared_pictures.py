"""Examples that share pictures are one cluster, whichever of their pictures it is and over however many others."""

import numpy as np
import pytest

from cacr.benchmarks.shared_pictures import clusters_of_pictures


def test_an_example_that_shares_nothing_has_the_name_of_its_first_picture():
    assert clusters_of_pictures([("a", "b"), ("c",), ("d", "e", "f")]) == ["a", "c", "d"]


@pytest.mark.parametrize("other", [("a", "x"), ("x", "a"), ("b", "x"), ("x", "b"), ("x", "y", "b"), ("b",)])
def test_any_picture_in_common_makes_one_cluster(other):
    first, second, apart = clusters_of_pictures([("a", "b"), other, ("c", "d")])
    assert first == second != apart


def test_a_later_example_joins_those_before_it():
    clusters = clusters_of_pictures([("a", "b"), ("c", "d"), ("e", "f"), ("d", "b")])
    assert clusters[0] == clusters[1] == clusters[3] != clusters[2]


def test_clusters_are_those_of_walking_from_picture_to_picture():
    rng = np.random.default_rng(0)
    for _ in range(20):
        pictures = [tuple(map(str, rng.integers(0, 40, 1 + int(rng.integers(3))))) for _ in range(20)]
        clusters = clusters_of_pictures(pictures)
        for start in range(len(pictures)):
            seen, size = set(pictures[start]), 0
            while size < len(seen):
                size = len(seen)
                seen |= {name for names in pictures if seen & set(names) for name in names}
            together = [bool(seen & set(names)) for names in pictures]
            assert together == [cluster == clusters[start] for cluster in clusters]


def test_an_example_without_pictures_is_named():
    with pytest.raises(ValueError, match="example 1 has no picture"):
        clusters_of_pictures([("a",), ()])
