import pytest

from mosim.agents.returns import ReturnRow


@pytest.mark.parametrize(
    ("simulated", "true", "std", "parted"),
    [(812, 240, 50, True), (240, 812, 50, True), (812, 700, 10, False), (812, 240, 2000, False), (0, 0, 0, False)],
)
def test_returns_part_where_they_differ_by_more_than_a_fifth_and_than_chance(
    simulated: float, true: float, std: float, parted: bool
) -> None:
    assert ReturnRow(1000, 1.0, simulated, true, std, episodes=10).parted == parted
