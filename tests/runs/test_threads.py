"""Work in threads: in order, nested, and stopped by an error."""

import time

import pytest
import torch

from blurpaper.runs.threads import in_threads


@pytest.fixture(autouse=True)
def _four_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [0, 1, 3, 200])
def test_results_are_in_order_also_where_work_starts_work(count) -> None:
    found = in_threads(lambda one: in_threads(lambda two: (one, two), range(5)), range(count))
    assert found == [[(one, two) for two in range(5)] for one in range(count)]
    assert torch.get_num_threads() == 4


def test_after_an_error_no_further_item_is_begun() -> None:
    begun = []

    def work(number: int) -> None:
        begun.append(number)
        if number == 10:
            raise ValueError(number)
        time.sleep(0.001)

    with pytest.raises(ValueError, match="10"):
        in_threads(work, range(1000))
    assert len(begun) < 100
    assert torch.get_num_threads() == 4
