"""What a sweep comes to, and what is told before anything starts."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from mosim.core.errors import MosimError
from mosim.data import PoissonBehaviour, Trajectories, collect_episode, import_npz
from mosim.experiments.sweep.config import read_sweep
from mosim.experiments.sweep.plan import PolicyPlan, SimulatorPlan, plan_sweep
from mosim.experiments.sweep.space import Draw
from mosim.tasks import load_task
from mosim.training import Recipe, Trainer, TrainingData
from neural_config import neural

RECIPE = """\
model:
  inertia: {width: 16, depth: 1}
  correctors: [{network: {width: 16, depth: 1}}, {network: {width: 16, depth: 1}}]
stages:
  - {name: predictor, learns: [predictor], minutes: 3}
  - {name: going on, learns: [predictor], minutes: 1}
  - {name: corrector, learns: [corrector/0], minutes: 2}
  - {name: second, learns: [corrector/1], minutes: 2, horizon: 4}
"""

SWEEP = """\
name: mine
task: pendulum-swingup
recipe: small.yaml
minutes: 2
data: {episodes: 4, steps: 20}
set: {stages.1.learning_rate: 0.002}
space:
  stages.3.horizon: {choice: [2, 8]}
  stages.0.learning_rate: {choice: [0.003, 0.005]}
  structure:
    choice:
      two: {}
      one:
        model.correctors: [{network: {width: 8}}]
        stages.3.learns: [predictor, corrector/0]
metric: horizon_mse/16
budget: {trials: 12}
seeds: [3, 4]
"""

DRAW: Draw = {"stages.3.horizon": 2, "stages.0.learning_rate": 0.003, "structure": "two"}


def write(folder: Path, *changes: tuple[str, str]) -> Path:
    text = SWEEP
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "small.yaml").write_text(RECIPE)
    (folder / "mine.yaml").write_text(text)
    return folder / "mine.yaml"


def plan(folder: Path, *changes: tuple[str, str]) -> SimulatorPlan:
    file = write(folder, *changes)
    planned = plan_sweep(read_sweep(file), file)
    assert isinstance(planned, SimulatorPlan)
    return planned


def test_a_trial_s_recipe_has_what_is_fixed_what_is_drawn_its_seed_and_its_length(tmp_path: Path) -> None:
    planned = plan(tmp_path)
    planned.check()
    recipe = planned.recipe(DRAW | {"structure": "one"}, 4)
    assert [stage.learning_rate for stage in recipe.stages[:2]] == [0.003, 0.002]
    assert [stage.minutes for stage in recipe.stages] == pytest.approx([0.75, 0.25, 0.5, 0.5])
    assert (len(neural(recipe.model).correctors), recipe.stages[3].learns) == (1, ("predictor", "corrector/0"))
    assert (recipe.stages[3].horizon, recipe.seed) == (2, 4)
    assert planned.dataset is None
    assert len(planned.draws()) == len({str(draw) for draw in planned.draws()}) <= 8


def test_a_plan_can_be_sent_to_another_process(tmp_path: Path) -> None:
    planned = plan(tmp_path)
    sent = pickle.loads(pickle.dumps(planned))  # noqa: S301
    assert sent.recipe(DRAW, 0) == planned.recipe(DRAW, 0)
    assert sent.draws() == planned.draws()


def test_architectures_are_equal_where_weights_fit(tmp_path: Path) -> None:
    planned = plan(tmp_path)
    same = planned.architecture(DRAW | {"stages.0.learning_rate": 0.005})
    assert same == planned.architecture(DRAW) != planned.architecture(DRAW | {"structure": "one"})


def test_predictors_are_one_where_all_that_they_depend_on_is(tmp_path: Path) -> None:
    planned = plan(tmp_path)
    recipe = planned.recipe(DRAW, 0)
    key = planned.predictor_key(recipe, "data")
    assert key is not None
    assert key[0] == 2
    for same in (DRAW | {"structure": "one"}, DRAW | {"stages.3.horizon": 8}):
        assert planned.predictor_key(planned.recipe(same, 0), "data") == key
    others = [
        planned.predictor_key(planned.recipe(DRAW | {"stages.0.learning_rate": 0.005}, 0), "data"),
        planned.predictor_key(planned.recipe(DRAW, 1), "data"),
        planned.predictor_key(recipe, "other data"),
        planned.predictor_key(recipe.within(3), "data"),
        planned.predictor_key(recipe.model_copy(update={"validation_fraction": 0.2}), "data"),
        planned.predictor_key(recipe.model_copy(update={"episodes": 3}), "data"),
        plan(tmp_path, ("pendulum-swingup", "acrobot-swingup")).predictor_key(recipe, "data"),
    ]
    assert len({key, *others}) == 1 + len(others)


@pytest.mark.parametrize("stages", [(0, 1), (2, 3), (2, 0)])
def test_without_a_predictor_of_its_own_or_anything_after_it_there_is_no_key(
    stages: tuple[int, ...], tmp_path: Path
) -> None:
    planned = plan(tmp_path)
    recipe = planned.recipe(DRAW, 0)
    some = recipe.model_copy(update={"stages": tuple(recipe.stages[index] for index in stages)})
    assert planned.predictor_key(some, "data") is None


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ([("pendulum-swingup", "pendulum-swing")], "mine.yaml, line 2: key 'task': unknown task 'pendulum-swing'"),
        ([("pendulum-swingup", "robot.xml")], "mine.yaml, line 2: key 'task': there is no MJCF file at "),
        ([("small.yaml", "nowhere.yaml")], "mine.yaml, line 3: key 'recipe': "),
        ([("small.yaml", "generic")], "mine.yaml, line 3: key 'recipe': unknown recipe 'generic'; did you mean"),
        ([("{episodes: 4, steps: 20}", "{path: nowhere}")], "mine.yaml, line 5: key 'data.path': "),
        ([("stages.1.learning_rate", "stages.1.rate")], "mine.yaml, line 6: there is no 'stages.1.rate'; available"),
        ([("stages.1.learning_rate: 0.002", "stages.1.steps: 5")], "mine.yaml, line 4: key 'minutes': to fit a budget"),
        ([("stages.3.horizon", "stages.4.horizon")], "mine.yaml, line 8: there is no 'stages.4.horizon'"),
        ([("[2, 8]", "[2, 0]")], "mine.yaml, line 8: key 'stages.3.horizon' is 0; input should be greater"),
        ([("[2, 8]", "[2, 80]")], "mine.yaml, line 5: key 'data': episodes have 20 steps, but stage 'second' "),
        ([("{width: 8}", "{widht: 8}")], "mine.yaml, line 14: unknown key 'model.correctors.0.network.widht';"),
        ([("[predictor, corrector/0]", "[corrector/1]")], "mine.yaml: stage 'second' learns corrector/1"),
        ([("[predictor, corrector/0]", "[corrector/1]")], "This occurs in the trial stages.3.horizon=8, "),
    ],
)
@pytest.mark.parametrize("search", ["random", "optuna"])
def test_mistakes_are_told_before_anything_starts(
    changes: list[tuple[str, str]], sentence: str, search: str, tmp_path: Path
) -> None:
    with pytest.raises(MosimError) as error:
        plan(tmp_path, ("seeds: [3, 4]", f"search: {search}"), *changes).check()
    assert sentence.split("=8")[0] in str(error.value)
    assert str(error.value).startswith(str(tmp_path))


def test_a_recipe_beside_the_file_is_told_with_its_own_line(tmp_path: Path) -> None:
    file = write(tmp_path)
    (tmp_path / "small.yaml").write_text(RECIPE.replace("name: going", "nom: going"))
    with pytest.raises(
        MosimError, match=r"mine\.yaml, line 3: key 'recipe': .*small\.yaml, line 6: .*'stages\.1\.nom'"
    ):
        plan_sweep(read_sweep(file), file)


def test_data_lie_beside_the_file_and_are_of_the_system(tmp_path: Path) -> None:
    np.savez(tmp_path / "theirs.npz", states=np.zeros((2, 21, 2)), actions=np.zeros((2, 20, 1)))
    import_npz(tmp_path / "theirs.npz", "pendulum-swingup", tmp_path / "data")
    given = ("{episodes: 4, steps: 20}", "{path: data}")
    planned = plan(tmp_path, given)
    assert (planned.dataset, planned.steps) == (str(tmp_path / "data"), 20)
    with pytest.raises(MosimError, match=r"line 5: key 'data\.path': the dataset does not fit system acrobot: "):
        plan(tmp_path, given, ("pendulum-swingup", "acrobot-swingup"))


def test_a_policy_s_simulator_is_of_the_task_s_system(tmp_path: Path) -> None:
    task = load_task("pendulum-swingup")
    episodes = Trajectories.of(
        task.facts, [collect_episode(task, PoissonBehaviour(), 20, 0, each) for each in range(2)]
    )
    recipe = Recipe.model_validate({"stages": [{"name": "a", "learns": ["predictor"], "steps": 1}]})
    data = TrainingData.of(episodes, "test")
    Trainer(system=task.source, recipe=recipe, data=data, out=tmp_path / "sim").run(lambda report: None)
    file = tmp_path / "policy.yaml"
    text = (
        f"name: policy\ntrains: policy\ntask: TASK\nsimulator: {tmp_path}/sim\nmetric: true_return\n"
        "set: {control_steps: 100}\nspace: {gamma: {choice: [0.9, GAMMA]}}\nbudget: {trials: 2}\n"
    )

    def planned(task_name: str, gamma: str) -> PolicyPlan:
        file.write_text(text.replace("TASK", task_name).replace("GAMMA", gamma))
        made = plan_sweep(read_sweep(file), file)
        assert isinstance(made, PolicyPlan)
        made.check()
        return made

    made = planned("pendulum-swingup", "0.8")
    recipe = made.recipe({"gamma": 0.8}, 7)
    assert (recipe.gamma, recipe.control_steps, recipe.seed) == (0.8, 100, 7)
    assert made.simulator.is_absolute()
    assert made.simulator.parent == tmp_path / "sim" / "checkpoints"
    for task_name, gamma, sentence in [
        (
            "acrobot-swingup",
            "0.8",
            "line 4: key 'simulator': a simulator of pendulum does not fit task acrobot-swingup",
        ),
        ("pendulum-swingup", "1.5", "line 7: key 'gamma' is 1.5; input should be less than or equal to 1"),
    ]:
        with pytest.raises(MosimError) as error:
            planned(task_name, gamma)
        assert sentence in str(error.value)
