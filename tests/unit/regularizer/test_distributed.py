"""attach in two processes: under DistributedDataParallel and FSDP2, ranks learn what one process would, on average.

This file is also the program that each of the two processes runs: ``test_distributed.py WRAPPER RANK FOLDER``.
"""

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from torch import distributed, nn
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel
from torch.testing import assert_close

from cacr import attach
from cacr.tiny_models import TINY

RANKS = (0, 1)
MODELS = ("visual_bert", "llava")
ORDERS = ("attach, then wrap", "wrap, then attach")
SECONDS = 55

needs_gloo = pytest.mark.skipif(not distributed.is_gloo_available(), reason="this torch has no gloo")


def one_example(name, rank):
    """A model in float64, where the order of sums makes no difference, and the example of one rank."""
    tiny = TINY[name]()
    inputs = {key: value[rank : rank + 1] for key, value in tiny.inputs.items()}
    inputs = {key: value.double() if value.is_floating_point() else value for key, value in inputs.items()}
    return tiny.model.double().train(), inputs


def step(model, inputs):
    out = model(**inputs)
    (out.loss + out.cacr_loss).backward()
    return {"cacr_loss": out.cacr_loss.detach(), "gradients": gradients(model)}


def gradients(model):
    return {
        name.removeprefix("module."): p.grad.full_tensor() if hasattr(p.grad, "full_tensor") else p.grad
        for name, p in model.named_parameters()
        if p.grad is not None
    }


def data_parallel(model):
    return DistributedDataParallel(model, find_unused_parameters=True)  # the Trainer's default


def sharded(model):
    for layers in [module for module in model.modules() if isinstance(module, nn.ModuleList)]:
        for layer in layers:
            fully_shard(layer)
    return fully_shard(model)


WRAPPERS = {"DistributedDataParallel": data_parallel, "FSDP2": sharded}


def work(wrapper, rank, folder):
    """What one of two processes does: a step of every model in both orders, saved for the parent to judge."""
    store = distributed.FileStore(str(folder / "store"), len(RANKS))
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=len(RANKS))
    seen = {}
    for name in MODELS:
        for order in ORDERS:
            model, inputs = one_example(name, rank)
            if order == "attach, then wrap":
                attach(model)
            model = WRAPPERS[wrapper](model)
            if order == "wrap, then attach":
                attach(model)
            seen[name, order] = step(model, inputs)
    torch.save(seen, folder / f"{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module", params=WRAPPERS)
def seen(request, tmp_path_factory):
    """What both ranks saw, of one pair of processes for all tests of a wrapper."""
    folder = tmp_path_factory.mktemp("ranks")
    run_on_two_ranks(request.param, folder)
    return [torch.load(folder / f"{rank}.pt") for rank in RANKS]


def run_on_two_ranks(wrapper, folder):
    until, said = time.monotonic() + SECONDS, folder / "said.txt"
    command, alone = [sys.executable, __file__, wrapper], os.environ | {"OMP_NUM_THREADS": "1"}
    with said.open("w") as out:
        processes = [
            subprocess.Popen([*command, str(rank), str(folder)], stdout=out, stderr=out, env=alone)
            for rank in RANKS
        ]
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, until - time.monotonic()))
        for process in processes:
            process.kill()
            process.wait()
    assert [process.returncode for process in processes] == [0, 0], said.read_text()


@needs_gloo
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", MODELS)
def test_both_ranks_get_the_mean_of_what_their_examples_give_alone(name, order, seen):
    both = [rank[name, order]["gradients"] for rank in seen]
    alone = [alone_in_one_process(name, rank)["gradients"] for rank in RANKS]
    assert both[0].keys() == both[1].keys() == alone[0].keys()
    for key, gradient in both[0].items():
        assert torch.equal(gradient, both[1][key])
        assert_close(gradient, (alone[0][key] + alone[1][key]) / 2, atol=1e-10, rtol=1e-10)


@needs_gloo
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", MODELS)
def test_each_rank_is_given_the_regularizer_of_its_own_example(name, order, seen):
    losses = [rank[name, order]["cacr_loss"] for rank in seen]
    assert losses[0] != losses[1]
    for rank in RANKS:
        assert_close(losses[rank], alone_in_one_process(name, rank)["cacr_loss"])


def alone_in_one_process(name, rank):
    model, inputs = one_example(name, rank)
    attach(model)
    return step(model, inputs)


def test_data_parallel_is_refused_with_the_way_out():
    tiny = TINY["visual_bert"]()
    with pytest.raises(TypeError, match="DataParallel is not supported.*Use DistributedDataParallel"):
        attach(nn.DataParallel(tiny.model))


def test_data_parallel_around_an_attached_model_is_refused_in_its_replicas():
    """The Trainer wraps by itself: a replica is a shallow copy, marked as torch marks it."""
    tiny = TINY["visual_bert"]()
    attach(tiny.model.train())
    replica = tiny.model._replicate_for_data_parallel()
    with pytest.raises(TypeError, match="runs in torch.nn.DataParallel.*Use DistributedDataParallel"):
        replica(**tiny.inputs)


if __name__ == "__main__":
    work(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
