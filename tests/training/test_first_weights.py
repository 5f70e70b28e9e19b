"""Training that begins with the weights of another run, on other data; and the weight of the newest data."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pendulum_run import trajectories
from replica_run import shortened

from mosim.agents import load_policy_recipe
from mosim.core.errors import MismatchError
from mosim.data import PoissonBehaviour, Trajectories, collect_episode
from mosim.experiments.rounds import Learning, LearnSettings
from mosim.models import NetworkConfig
from mosim.tasks import load_task
from mosim.training import Recipe, Trainer, TrainingData, load_recipe, load_simulator
from mosim.training.windows import WindowSampler

RECIPE = shortened()
RECIPE = RECIPE.model_copy(
    update={"model": RECIPE.model.model_copy(update={"correctors": ()}), "stages": RECIPE.stages[:1]}
)


def other_data() -> TrainingData:
    """Of a pendulum that moves faster than its physics."""
    data = trajectories()
    faster = Trajectories(data.facts, data.states * [1.0, 3.0], data.actions, data.offsets, data.contexts)
    return TrainingData.of(faster, "other")


def trainer(out: Path, recipe: Recipe = RECIPE, data: TrainingData | None = None, **options: object) -> Trainer:
    data = data or TrainingData.of(trajectories(), "test")
    return Trainer(system="pendulum-swingup", recipe=recipe, data=data, out=out, **options)  # pyright: ignore[reportArgumentType]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("first")
    trainer(out).run(lambda report: None)
    return out


def test_training_begins_with_the_weights_and_their_scales_and_takes_in_the_new_limits(
    trained: Path, tmp_path: Path
) -> None:
    first, data = load_simulator(trained), other_data()
    begun = trainer(tmp_path, data=data, weights=trained)
    for name, weight in first.state_dict().items():
        assert torch.equal(begun.model.state_dict()[name], weight), name
    scales, limits = begun.model.statistics, data.statistics
    assert torch.equal(scales.velocity_std, first.statistics.velocity_std)
    assert torch.equal(scales.acceleration_std, first.statistics.acceleration_std)
    assert torch.equal(scales.velocity_limit, limits.velocity_limit)
    assert (limits.velocity_limit > first.statistics.velocity_limit).all()
    assert begun.seconds == begun.samples == 0
    begun.run(lambda report: None)
    again = load_simulator(tmp_path).statistics
    assert torch.equal(again.velocity_limit, limits.velocity_limit)


def test_what_was_learned_is_not_learned_again(trained: Path, tmp_path: Path) -> None:
    first, again = (
        next(trainer(tmp_path / name, weights=weights).reports()).loss
        for name, weights in (("random", None), ("weights", trained))
    )
    assert again < 0.5 * first


def test_a_run_is_resumed_with_the_weights_that_it_began_with_alone(trained: Path, tmp_path: Path) -> None:
    trainer(tmp_path, weights=trained).save()
    trainer(tmp_path, weights=trained, resume=True)
    with pytest.raises(MismatchError, match="weights"):
        trainer(tmp_path, resume=True)


def test_weights_of_another_model_or_system_are_refused(trained: Path, tmp_path: Path) -> None:
    wider = RECIPE.model.model_copy(update={"bias": NetworkConfig(width=24, depth=1)})
    with pytest.raises(MismatchError, match="weights of a different model"):
        trainer(tmp_path, RECIPE.model_copy(update={"model": wider}), weights=trained)
    cartpole = load_task("cartpole-swingup")
    episode = collect_episode(cartpole, PoissonBehaviour(), 50, 0, 0)
    data = TrainingData.of(Trajectories.of(cartpole.facts, [episode, episode]), "cartpole")
    with pytest.raises(MismatchError, match="cannot begin with the weights of"):
        trainer(tmp_path, data=data, weights=trained)


def test_windows_of_the_newest_data_are_drawn_as_often_as_their_weight_says() -> None:
    data = TrainingData.of(trajectories(), "test")
    rows = (torch.from_numpy(data.states), torch.from_numpy(data.actions), data.offsets)
    old, new = 4, 1  # Of the six episodes, the last is not served.
    marked = torch.zeros_like(rows[0])
    marked[data.offsets[old] :] = 1.0

    def share(weight: float) -> float:
        sampler = WindowSampler(marked, *rows[1:], range(old + new), 0, newest=old, newest_weight=weight)
        return float(sampler.draw(20_000, 3)[0][:, 0, 0].mean())

    assert share(1.0) == pytest.approx(0.2, abs=0.02)
    assert share(4.0) == pytest.approx(0.5, abs=0.02)
    assert share(0.25) == pytest.approx(1 / 17, abs=0.01)
    plain, weighed = (WindowSampler(*rows, range(5), 7, newest=at, newest_weight=w) for at, w in ((0, 9.0), (3, 1.0)))
    assert torch.equal(plain.draw(50, 2)[0], weighed.draw(50, 2)[0])


def test_the_newest_of_several_datasets_is_known(tmp_path: Path) -> None:
    data = TrainingData.of(trajectories(), "test")._replace(newest=4)
    assert data.first(5).newest == 4
    assert data.first(4).newest == 0
    assert np.array_equal(data.first(None).offsets, data.offsets)


def test_rounds_go_on_from_the_weights_before_where_these_are_trained_by_gradients(tmp_path: Path) -> None:
    def learning(**changes: object) -> Learning:
        settings = {"task": "pendulum-swingup", "out": tmp_path, "true_steps": 600, "rounds": 3}
        settings |= {"policy": load_policy_recipe("pendulum-swingup"), "simulator": load_recipe("pendulum")}
        return Learning(LearnSettings.model_validate(settings | changes), load_task("pendulum-swingup"))

    last = trainer(tmp_path / "rounds" / "0" / "simulator").run(lambda report: None)
    by_gradients = learning(simulator=RECIPE)
    assert by_gradients._weights_before(0) is None
    assert by_gradients._weights_before(1) == last
    assert learning(simulator=RECIPE, from_scratch=True)._weights_before(1) is None
    assert learning()._weights_before(1) is None
