"""What a refused command leaves behind: the folder as it was, and the run in MLflow as it had ended."""

import hashlib
import importlib
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
import yaml

from mosim.cli.main import EXIT_MISTAKE, main
from mosim.core.locks import FolderLock
from mosim.core.run_identity import differences
from mosim.data import Dataset, collect
from mosim.training import Recipe, Trainer, TrainingData

NETWORK = {"width": 8, "depth": 1}
STAGE = {"name": "a", "learns": ["predictor"], "steps": 5, "batch_size": 32}
RECIPE = {"model": {"inertia": NETWORK, "bias": NETWORK}, "stages": [STAGE]}
DATA = {"episodes": 4, "steps": 60, "held_out_episodes": 2}
STUDY = {
    "name": "small", "systems": ["pendulum-swingup"], "recipe": "recipe.yaml", "data": DATA, "horizons": [1],
    "starts": 4, "variants": [{"name": "one"}],
}  # fmt: skip
SWEEP = {
    "name": "small", "task": "pendulum-swingup", "recipe": "recipe.yaml", "metric": "horizon_mse/16",
    "data": {"episodes": 4, "steps": 60}, "space": {"stages.0.learning_rate": {"grid": [0.003]}},
}  # fmt: skip
POLICY = [
    "--control-steps", "200", "--eval-interval", "200", "--eval-episodes", "1", "--num-envs", "4",
    "--rollout-fragment-length", "16", "--minibatch-size", "32", "--num-epochs", "1", "--hidden", "8",
]  # fmt: skip
OF_RUN = [f"--policy.{word[2:]}" if word.startswith("--") else word for word in POLICY]

COMMANDS = {
    "collect": ["pendulum-swingup", "--episodes", "4", "--steps", "60", "--workers", "1", "--out", "OUT"],
    "train": ["pendulum-swingup", "--data", "data", "--recipe", "recipe.yaml", "--out", "OUT"],
    "zero-shot": ["sim", "--task", "pendulum-swingup", "--out", "OUT", "--no-video", *POLICY],
    "study": ["study.yaml", "--workers", "1", "--out", "OUT"],
    "sweep": ["sweep.yaml", "--out", "OUT/small"],
    "run": [
        "pendulum-swingup", "--episodes", "4", "--heldout-episodes", "2", "--steps", "60", "--horizons", "1",
        "--simulator-recipe", "recipe.yaml", "--workers", "1", "--out", "OUT", *OF_RUN,
    ],
}  # fmt: skip
"""Small ones, by name; OUT stands for their output folder."""

CHANGED = {
    "collect": ("60", "61"),
    "train": ("recipe.yaml", "other.yaml"),
    "zero-shot": ("16", "32"),
    "study": ("study.yaml", "other_study.yaml"),
    "sweep": ("sweep.yaml", "other_sweep.yaml"),
    "run": ("60", "61"),
}
"""A word of each, and another in its place that makes it another run."""


@pytest.fixture(scope="module")
def folder(ray_of_two: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The working folder, with the files that the commands name."""
    folder = tmp_path_factory.mktemp("refusals")
    other = RECIPE | {"stages": [STAGE | {"learning_rate": 0.001}]}
    files = {
        "recipe": RECIPE, "other": other, "study": STUDY, "other_study": STUDY | {"recipe": "other.yaml"},
        "sweep": SWEEP, "other_sweep": SWEEP | {"metric": "horizon_mse/100"},
    }  # fmt: skip
    for name, content in files.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
    collect("pendulum-swingup", folder / "data", episodes=4, steps=60, workers=1)
    data = TrainingData.load(Dataset.open(folder / "data"))
    recipe = Recipe.model_validate(RECIPE)
    Trainer(system="pendulum-swingup", recipe=recipe, data=data, out=folder / "sim").run(lambda report: None)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


def run(name: str, out: str, *more: str, change: tuple[str, str] = ("", "")) -> int:
    words = [word.replace("OUT", out) if "OUT" in word else word for word in COMMANDS[name]]
    words = [change[1] if word == change[0] else word for word in words]
    try:
        main([name, *words, *more])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def content(folder: Path) -> dict[str, str]:
    """Every file of a folder with the digest of its bytes."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def runs(store: str) -> dict[str, tuple[str, bool]]:
    """Every run of a store with its status, and whether it is said to have failed."""
    client = mlflow.MlflowClient(store)
    found = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    return {str(run.info.run_name): (run.info.status, "failure" in run.data.tags) for run in found}


LONG = {"run", "study", "sweep"}
CASES = [
    pytest.param(name, tracked, marks=[pytest.mark.slow] if name in LONG or not (tracked or name == "train") else [])
    for name in COMMANDS
    for tracked in ((True,) if name == "collect" else (True, False))  # Which is not tracked.
]


@pytest.mark.parametrize(("name", "tracked"), CASES)
def test_a_finished_run_stays_as_it_is(
    name: str, tracked: bool, folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, store = f"{name}-{tracked}", f"sqlite:///{folder}/{name}.db"
    flags = [] if name == "collect" else ["--tracking-uri", store if tracked else "off"]
    assert run(name, out, *flags) == 0, capfd.readouterr()
    before, told = content(folder / out), runs(store) if tracked and flags else None
    if told is not None:
        assert set(told.values()) == {("FINISHED", False)}
    # The same command again, another one in its place, and one while the folder is in use: none may touch anything.
    monkeypatch.setattr(importlib.import_module("mosim.jobs.ray_cluster"), "started", None)
    capfd.readouterr()
    refusals = {"holds a": run(name, out, *flags, change=CHANGED[name])}
    if name != "collect":
        refusals |= {"holds a run already": run(name, out, *flags)}
        refusals |= {"holds another": run(name, out, *flags, "--resume", change=CHANGED[name])}
    said = capfd.readouterr().err
    for sentence, code in refusals.items():
        assert code == EXIT_MISTAKE, sentence
        assert sentence in said
    assert content(folder / out) == before
    lock = FolderLock(folder / out / "small" if name == "sweep" else folder / out)
    assert run(name, out, *flags, "--resume" if flags else "--verbose") == EXIT_MISTAKE
    lock.release()
    said += capfd.readouterr().err
    assert "is in use by another mosim process" in said
    assert "Traceback" not in said
    if told is not None:
        assert runs(store) == told


def test_what_differs_is_named_with_both_values() -> None:
    before = {"recipe": {"stages": [{"steps": 3, "name": "a"}], "seed": 0}, "data": "x"}
    now = {"recipe": {"stages": [{"steps": 4, "name": "a"}], "seed": 0}, "data": None}
    assert differences(before, before) == []
    assert differences(before, now) == ['data was "x" and is null', "recipe.stages.0.steps was 3 and is 4"]
    longer = {**before, "recipe": {"stages": [], "seed": 0}}
    assert differences(before, longer) == ['recipe.stages was [{"steps": 3, "name": "a"}] and is []']
