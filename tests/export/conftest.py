"""One thread and one seed for every test here: small tensors are slower on two, and sums keep
their order.
"""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread_one_seed() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(1)
