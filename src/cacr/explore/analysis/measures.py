"""Every measure by name: what it is, its unit, and how records and tables speak of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """One number of a pair, a layer and a head."""

    says: str
    unit: str
    """"share" (0-1), "difference" (of shares), "bits", "nats" or "cosine"."""

    @property
    def share(self) -> bool:
        """Whether it lies in 0-1."""
        return self.unit == "share"


_CROSS = {
    "lv": ("S_LV, words over regions", "words that name something", "region"),
    "vl": ("S_VL, regions over words", "regions that are named", "word"),
}
WAYS = {"language": "among words", "vision": "among regions"}


def _measures() -> dict[str, Measure]:
    found: dict[str, Measure] = {}
    for cross, (block, rows, column) in _CROSS.items():
        found |= {
            f"entropy_{cross}": Measure(
                f"{block}: Shannon entropy of the argmax indices of all rows", "bits"
            ),
            f"argmax_{cross}": Measure(
                f"{block}: share of {rows} whose highest {column} is a true one (ties with a false one are wrong)",
                "share",
            ),
            f"soft_{cross}": Measure(f"{block}: attention of {rows} on true {column}s", "share"),
            f"chance_{cross}": Measure(
                f"share of {column}s that are true, of {rows}: chance of argmax and soft", "share"
            ),
            f"favorite_{cross}": Measure(
                f"{block}: accuracy of the model's favorite {column}, the argmax of its mean attention, for all rows",
                "share",
            ),
            f"favorite_soft_{cross}": Measure(
                f"{block}: the mean attention of all rows on true {column}s", "share"
            ),
            f"constant_{cross}": Measure(
                f"the most that one and the same {column} can get, told by the truth, of {rows}", "share"
            ),
            f"argmax_{cross}_over_chance": Measure("argmax less chance", "difference"),
            f"argmax_{cross}_over_favorite": Measure(f"argmax less the favorite {column}", "difference"),
            f"argmax_{cross}_over_constant": Measure(f"argmax less the best constant {column}", "difference"),
            f"soft_{cross}_over_chance": Measure("soft less chance", "difference"),
            f"soft_{cross}_over_favorite": Measure("soft less that of the mean attention", "difference"),
        }
    for way, among in WAYS.items():
        found |= {
            f"soft_{way}": Measure(
                f'attention {among} from the soft target: the loss CACR by rows (normalize="rows")', "nats"
            ),
            f"hard_{way}": Measure(f"attention {among} from the hard target, rows", "nats"),
            f"flat_{way}": Measure(f"attention {among} from uniform", "nats"),
            f"soft_flat_{way}": Measure(f"the soft target {among} from uniform", "nats"),
            f"hard_flat_{way}": Measure(f"the hard target {among} from uniform", "nats"),
            f"soft_less_hard_{way}": Measure("from the soft target less from the hard one", "nats"),
            f"soft_less_flat_{way}": Measure("from the soft target less from uniform", "nats"),
            f"hard_less_flat_{way}": Measure("from the hard target less from uniform", "nats"),
            f"soft_flat_less_hard_flat_{way}": Measure(
                "flatness of the soft target less that of the hard", "nats"
            ),
            f"cacr_release_{way}": Measure("the loss CACR as the authors' release has it", "nats"),
            f"iais_{way}": Measure("the loss IAIS, kind singular", "nats"),
            f"iais_distributed_{way}": Measure("the loss IAIS, kind distributed", "nats"),
            f"cosine_soft_{way}": Measure("gradient of own-soft with that of own-uniform", "cosine"),
            f"cosine_hard_{way}": Measure("gradient of own-hard with that of own-uniform", "cosine"),
            f"cosine_iais_{way}": Measure("gradient of IAIS (singular) with that of own-uniform", "cosine"),
            f"cosine_release_{way}": Measure("gradient of CACR (release) with that of own-uniform", "cosine"),
        }
    return found


MEASURES = _measures()
"""Name -> measure. The ending tells the block (lv, vl) or the direction (language, vision)."""
CORRELATED = (
    *(f"{name}_{cross}" for name in ("entropy", "argmax", "soft") for cross in _CROSS),
    *(f"{name}_{way}" for name in ("soft", "hard", "flat") for way in WAYS),
)
"""What is correlated with scores."""
