import numpy as np

from mosim.agents.moments import CLIP
from mosim.agents.rllib.observation_filter import ObservationFilter


def batches(seed: int, count: int) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [random.normal(5.0, 3.0, (7, 4)) * [1, 10, 0.1, 0] for _ in range(count)]


def test_moments_are_those_of_everything_seen() -> None:
    observed = batches(0, 20)
    filter_ = ObservationFilter()
    for batch in observed:
        filtered = filter_.filter_batch(batch)
    together = np.concatenate(observed)
    np.testing.assert_allclose(filter_.seen.mean, together.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(filter_.seen.deviation, together.std(axis=0, ddof=1), rtol=1e-12, atol=1e-15)
    assert filtered.dtype == np.float32
    expected = (observed[-1] - together.mean(axis=0))[:, :3] / together.std(axis=0, ddof=1)[:3]
    np.testing.assert_allclose(filtered[:, :3], np.clip(expected, -CLIP, CLIP), rtol=1e-5)
    np.testing.assert_array_equal(filtered[:, 3], 0)


def test_without_update_nothing_is_learned() -> None:
    filter_ = ObservationFilter()
    filter_.filter_batch(batches(0, 1)[0])
    before = filter_.seen.as_dict()
    filter_.filter_batch(batches(1, 1)[0], update=False)
    assert filter_.seen.count == before["count"]
    np.testing.assert_array_equal(filter_.seen.mean, before["mean"])


def test_runners_merge_to_what_one_would_have_seen() -> None:
    driver, runners, alone = ObservationFilter(), [ObservationFilter(), ObservationFilter()], ObservationFilter()
    for round_ in range(3):
        for index, runner in enumerate(runners):
            for batch in batches(10 * round_ + index, 2 + index):
                runner.filter_batch(batch)
                alone.filter_batch(batch)
        merged = driver.merge_states([runner.get_state() for runner in runners])
        for filter_ in runners:
            filter_.set_state(merged)
            assert filter_.seen.count == alone.seen.count
            np.testing.assert_allclose(filter_.seen.mean, alone.seen.mean, rtol=1e-12)
            np.testing.assert_allclose(filter_.seen.squares, alone.seen.squares, rtol=1e-10, atol=1e-12)
