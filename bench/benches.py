"""The benches by name, in the order of the page. Add one: a generator of rows, a line here.

The first line of a generator's docstring is its title, the rest says how it is measured.
"""

from bench import attach, features, loss_time, memory, others, precision, products
from bench.measuring import Bench

BENCHES = {
    "region-models": Bench(loss_time.region_models),
    "patch-models": Bench(loss_time.patch_models),
    "padded-batches": Bench(loss_time.padded_batches),
    "memory": Bench(memory.peaks),
    "arithmetic": Bench(products.arithmetic),
    "precision": Bench(precision.gradients, columns=("largest", "median")),
    "loss-in-step": Bench(attach.share),
    "attach": Bench(attach.attaching),
    "step": Bench(others.step),
    "retrieval": Bench(others.retrieval),
    "features": Bench(features.reading),
    "scenes": Bench(others.scenes),
}
