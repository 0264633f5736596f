"""The two pictures of docs/architecture.md, from the imports themselves: `python -m tests.rooms` draws them anew.

An arrow of the first goes from a room to one that it imports; what follows from others is left out (a transitive
reduction). An arrow of the second is what one room hands to another, with the class that it is.
"""

from __future__ import annotations

import re
from pathlib import Path

import grimp
import networkx

IMAGES = Path(__file__).parents[1] / "docs" / "images"
PLACES = {
    "cli": (4.2, 6.8), "repeating": (6, 6.4), "publishing": (0.4, 5.2), "sweep": (2.6, 5.2), "demo": (6, 5.6),
    "study": (6, 4.8), "tiny_models": (9, 4.8), "training": (4.4, 3.9), "benchmarks": (0.9, 2.6),
    "scorers": (2.35, 2.6), "explore": (6.7, 2.6), "regularizer": (8.6, 2.6), "data": (2.1, 1.4),
    "models": (4.4, 1.4), "losses": (7.9, 1.4),
    "statistics": (0.4, 0.2), "regions": (3.2, 0.2), "recipes": (5.9, 0.6), "environment": (5.1, 0),
    "attention": (7.4, 0.2),
}  # fmt: skip
"""Room -> where it stands in the first picture: importers above."""
WAY = {
    ("regions", "data"): "Regions", ("regions", "models"): "Regions", ("data", "training"): "CaptionSet",
    ("data", "scorers"): "Picture", ("data", "benchmarks"): "Scorer", ("models", "scorers"): "load_model",
    ("models", "training"): "load_model", ("attention", "losses"): "AttentionBlocks",
    ("losses", "regularizer"): "AttentionLoss", ("regularizer", "training"): "Regularizer",
    ("attention", "explore"): "Attended", ("statistics", "benchmarks"): "Estimate", ("scorers", "study"): "open_scorer",
    ("training", "study"): "TrainConfig", ("benchmarks", "study"): "Row", ("benchmarks", "publishing"): "Row",
    ("explore", "study"): "save_figures",
}  # fmt: skip
"""(From, to) -> the name of what is handed over, in the room that it comes from."""
STATIONS = {
    "regions": (0, 3.1), "attention": (0, 0.5), "data": (2.3, 4), "models": (2.3, 2.2), "losses": (2.3, -0.2),
    "statistics": (2.3, 5.4), "benchmarks": (4.9, 4.9), "scorers": (4.9, 3.1), "training": (4.9, 1.7),
    "regularizer": (4.9, -0.2), "explore": (7.2, 0.5), "study": (7.6, 3.1), "publishing": (7.6, 4.9),
}  # fmt: skip
"""Room -> where it stands in the second picture: what comes first at the left."""


def imports() -> networkx.DiGraph:
    """Room -> the rooms that it imports, lazily or not, for types alone or not."""
    graph, between = grimp.build_graph("cacr"), networkx.DiGraph()
    for module in graph.modules:
        for other in graph.find_modules_directly_imported_by(module):
            ours, theirs = (name.split(".")[1:2] for name in (module, other))
            if ours and theirs and ours != theirs:
                between.add_edge(ours[0], theirs[0])
    between.remove_nodes_from([room for room in between if room.startswith("_")])  # what all of them need
    return between


def drawn(picture: Path) -> set[tuple[str, str]]:
    """The arrows of a picture that was drawn here."""
    said = re.search(r"<dc:description>([^<]*)", picture.read_text(encoding="utf-8"))
    assert said is not None, f"{picture} does not say its arrows"
    return {tuple(one.split(" ")) for one in said[1].split(", ")}  # type: ignore[misc]


def draw(
    file: Path, places: dict[str, tuple[float, float]], arrows: dict[tuple[str, str], str], height: float
) -> None:
    """Boxes with arrows between them, as SVG that says its arrows."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(
        {"svg.fonttype": "none", "svg.hashsalt": "rooms", "font.family": "sans-serif"}
    ):
        figure = Figure(figsize=(9, height), layout="constrained")
        axes = figure.subplots()
        shown = {}
        for room, (x, y) in places.items():
            box = {"boxstyle": "round,pad=0.4", "facecolor": "#e8f3f1", "edgecolor": "#00796b"}
            shown[room] = axes.text(x, y, room, ha="center", va="center", bbox=box, fontsize=10, zorder=3)
        for (start, end), label in arrows.items():
            (x, y), (to_x, to_y) = places[start], places[end]
            ends = {"patchA": shown[start].get_bbox_patch(), "patchB": shown[end].get_bbox_patch()}
            shape = {"arrowstyle": "-|>", "color": "#607d8b", "shrinkA": 0, "shrinkB": 2, "lw": 1, **ends}
            axes.annotate("", (to_x, to_y), (x, y), arrowprops=shape, zorder=1)
            plain = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
            if label:
                at = 0.6 * x + 0.4 * to_x, 0.6 * y + 0.4 * to_y
                axes.text(*at, label, ha="center", va="center", fontsize=7.5, bbox=plain, zorder=2)
        across, up = zip(*places.values(), strict=True)
        axes.set(xlim=(min(across) - 0.9, max(across) + 0.9), ylim=(min(up) - 0.5, max(up) + 0.5))
        axes.axis("off")
        said = ", ".join(" ".join(one) for one in sorted(arrows))
        figure.savefig(file, metadata={"Description": said, "Date": None}, facecolor="white")


def pictures() -> dict[str, dict[tuple[str, str], str]]:
    """File -> its arrows, by the imports of now."""
    reduced = networkx.transitive_reduction(imports())
    return {"rooms.svg": dict.fromkeys(sorted(reduced.edges), ""), "way.svg": WAY}


if __name__ == "__main__":
    for (name, arrows), (places, height) in zip(
        pictures().items(), ((PLACES, 6), (STATIONS, 5)), strict=True
    ):
        draw(IMAGES / name, places, arrows, height)
        print(f"Drew {IMAGES.name}/{name}: {len(arrows)} arrows")
