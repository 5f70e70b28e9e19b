"""What is typed is what runs: the same options in any order of the flags, and none that is silently another."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosim.cli import run_command, train_command, zero_shot_command
from mosim.cli.main import EXIT_MISTAKE, main
from mosim.cli.parsing import given_flags, parse_with_recipes
from mosim.cli.task_options import parse_with_task
from mosim.core.errors import MosimError
from mosim.experiments.pipeline import recipe_line
from mosim.training import find_recipe, load_recipe


def train(*arguments: str) -> train_command.Options:
    return parse_with_recipes(train_command.Options, "train", arguments, train_command._defaults, positional="task")


def whole_run(*arguments: str) -> run_command.Options:
    return parse_with_task(run_command.Options, "run", arguments)


def zero_shot(*arguments: str) -> zero_shot_command.Options:
    return parse_with_recipes(zero_shot_command.Options, "zero-shot", arguments, zero_shot_command._defaults)


PARTS = [
    ("reacher-easy",), ("--data", "D"), ("--minutes", "0.05"), ("--out=general",), ("--stages.0.learning-rate", "0.5"),
    ("--resume",), ("--no-verbose",),
]  # fmt: skip


@given(st.permutations(PARTS))
@settings(max_examples=6)
def test_flags_mean_the_same_in_any_order(parts: list[tuple[str, ...]]) -> None:
    assert train(*(word for part in parts for word in part)) == train(*(word for part in PARTS for word in part))


def test_the_task_decides_the_recipe_wherever_it_stands() -> None:
    assert train("--data", "D", "reacher-easy").recipe == load_recipe("reacher")
    assert train("--data", "cheetah-run", "reacher-easy").recipe == load_recipe("reacher"), "a flag's value is no task"
    assert whole_run("--seed", "1", "reacher-easy").policy == whole_run("reacher-easy").policy
    assert whole_run("--seed", "1", "reacher-easy").policy.gamma == 0.95
    # A flag that only the recipe has that is asked for.
    assert train("--recipe", "geometry/general", "--stages.3.steps", "7", "reacher-easy").recipe.stages[3].steps == 7


def test_hyphens_and_underscores_are_one() -> None:
    assert whole_run("reacher-easy", "--simulator_recipe", "general").simulator == load_recipe("", "general")
    assert train("reacher-easy", "--stages.0.learning_rate=0.5").recipe.stages[0].learning_rate == 0.5
    assert zero_shot("sim", "--task", "reacher-easy", "--out", "o", "--num_envs", "128").recipe.num_envs == 128


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("train", "reacher-easy", "--recipe", "general", "--recipe", "cheetah"), "--recipe is given twice"),
        (("train", "--seed=1", "reacher-easy", "--seed", "1"), "--seed is given twice"),
        (("zero-shot", "s", "--task", "reacher-easy", "--out", "o", "--no-video", "--video"), "--video is given twice"),
        (("evaluate", "s", "--horizons", "1", "--horizons", "16"), "--horizons is given twice"),
        (("run", "reacher-easy", "--simulator.seed", "3"), "--simulator.seed would have no effect: --seed sets"),
        (
            ("zero-shot", "s", "--task", "reacher-easy", "--out", "o", "--workers", "1", "--num-env-runners", "2"),
            "--workers and --num-env-runners are the same setting; give one of them",
        ),
        (
            ("zero-shot", "s", "--task", "cheetah-run", "--out", "o", "--algorithm", "shac", "--workers", "1"),
            "--workers is for RLlib's algorithms; shac samples in its own process",
        ),
        (("train", "--data", "D", "reacher-esay"), "unknown task 'reacher-esay'; did you mean reacher-easy"),
    ],
)
def test_what_would_be_ignored_is_refused(
    arguments: tuple[str, ...],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == EXIT_MISTAKE
    assert sentence in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("task", ["reacher-easy", "--data"])
def test_help_shows_the_recipe_of_the_task(task: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "--help", task, *(["D", "reacher-easy"] if task == "--data" else [])]
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 0
    assert f"(default: {load_recipe('reacher').stages[0].steps})" in " ".join(capsys.readouterr().out.split())


def test_a_flag_that_is_misspelt_gets_the_nearest_ones_and_optional_parts_are_flags_too(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", "reacher-easy", "--episods", "3"])
    assert ended.value.code == EXIT_MISTAKE
    said = capsys.readouterr().err
    assert "Perhaps you meant:" in said
    assert "--episodes INT" in said
    assert "subcommand" not in said
    model = train("cheetah-run", "--model.constraints.contacts", "5").recipe.model.model_dump()
    assert model["constraints"]["contacts"] == 5


def test_flags_are_read_with_their_values() -> None:
    words = ["reacher-easy", "--resume", "--a.b", "1", "--c=--d", "--e"]
    assert given_flags(words) == {"--resume": "", "--a.b": "1", "--c": "--d", "--e": ""}


def test_a_recipe_says_where_it_is_from_and_why(tmp_path: Path) -> None:
    own = tmp_path / "mine.yaml"
    own.write_text("stages: [{name: a, learns: [predictor], steps: 3}]\n")
    assert find_recipe("reacher").origin == "reacher (tree), which mosim ships for a system of this name"
    assert find_recipe("arm").origin == "general (tree), since mosim ships none for a system named arm"
    assert find_recipe("arm", "geometry/large").origin == "geometry/large (geometry), which mosim ships, as requested"
    assert find_recipe("reacher", own).origin == f"the file {own} (geometry), as requested"
    of_level = (
        "geometry/reacher (geometry), which mosim ships for a system of this name at the requested knowledge level"
    )
    assert find_recipe("reacher", "geometry").origin == of_level
    none = "arrays/general (arrays), since mosim ships none for a system named reacher at the requested knowledge level"
    assert find_recipe("reacher", "arrays").origin == none
    with pytest.raises(MosimError, match="unknown recipe 'lagre'"):
        find_recipe("arm", "lagre")
    with pytest.raises(MosimError, match="unknown recipe 'geometri'; did you mean geometry"):
        find_recipe("arm", "geometri")


def test_flags_that_change_what_a_model_knows_say_so() -> None:
    named = find_recipe("reacher")
    changed = train(
        "reacher-easy", "--model.predictor", "rigid_body", "--stages.0.optimizer", "soap", "--stages.0.steps", "9"
    ).recipe
    line = recipe_line("recipe", named.origin, named.recipe, changed)
    assert 'changed: knowledge was "tree" and is "geometry"; model.predictor was ' in line
    assert recipe_line("recipe", named.origin, named.recipe, named.recipe) == f"recipe: {named.origin}"
