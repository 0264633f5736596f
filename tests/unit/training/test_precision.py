"""Which devices are fast in bfloat16 is asked of the device, not guessed."""

from pathlib import Path

import torch

from cacr.training.precision import fast_bfloat16


def test_a_device_without_instructions_of_its_own_is_not_fast_in_bfloat16():
    assert not fast_bfloat16(torch.device("meta"))
    about = Path("/proc/cpuinfo")
    if about.exists() and not {"avx512_bf16", "amx_tile"} & set(about.read_text().split()):
        assert not fast_bfloat16(torch.device("cpu"))
