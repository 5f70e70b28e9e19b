"""`mosim show` over an untrained simulator: what it writes, what it refuses, and machines without OpenGL."""

import os
import subprocess
import sys
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import torch
from PIL import Image

from mosim.agents import Policy, PolicyFacts, save_policy
from mosim.cli.main import main
from mosim.cli.shown_episode import shown_episode
from mosim.core.errors import MosimError
from mosim.data import HELD_OUT_SEED_OFFSET, Dataset, PoissonBehaviour, collect_episode, import_npz
from mosim.models import NetworkConfig, NeuralSimulator, NeuralSimulatorConfig, Statistics
from mosim.tasks import Task, load_task
from mosim.training.checkpoint import save_checkpoint

SMALL = NetworkConfig(width=8, depth=1)
QUICK = ["--width", "160", "--moments", "8"]


@pytest.fixture(scope="module")
def task() -> Task:
    return load_task("reacher-easy")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, task: Task) -> Path:
    """The folder of a training run, with a checkpoint and a policy."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("run")
    model = NeuralSimulator(
        task.facts, NeuralSimulatorConfig(inertia=SMALL, bias=SMALL, correctors=()), Statistics.neutral(task.facts)
    )
    save_checkpoint(
        folder / "checkpoints", "step-00000001-stage-0", model, {}, system=task.name, recipe={}, dataset_id="abc",
        cursor={},
    )  # fmt: skip
    facts = PolicyFacts(task=task.name, observation_size=6, action_size=2, hidden=(4,), clip=10.0, action_repeat=3)
    policy = Policy(facts)
    policy.lower.fill_(-1.0)
    save_policy(policy, folder / "policy")
    return folder


def mosim(*arguments: str) -> int:
    """The command's exit code."""
    try:
        main(["show", *arguments])
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def frames_of(path: Path) -> int:
    frames, _ = imageio_ffmpeg.count_frames_and_secs(str(path))
    return int(frames or 0)


def test_it_writes_film_and_sheet_into_the_run_s_folder(
    opengl: None, run: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert mosim(str(run), "--seconds", "0.4", *QUICK) == 0
    assert frames_of(run / "reacher-easy.mp4") == 11
    with Image.open(run / "reacher-easy.png") as sheet:
        assert sheet.width > 2000
    said = capfd.readouterr().out
    assert "horizon error over these 20 steps (0.4 s): mosim " in said
    assert "persistence" in said
    assert "reacher-easy.mp4 (11 frames, 0.4 s" in said


def test_a_policy_drives_both(opengl: None, run: Path, tmp_path: Path) -> None:
    film, sheet = tmp_path / "driven.mp4", tmp_path / "moments.png"
    flags = ["--policy", str(run / "policy"), "--steps", "10", "--out", str(film), "--sheet", str(sheet)]
    assert mosim(str(run), *flags, "--fps", "50", "--camera", "fixed", *QUICK) == 0
    assert frames_of(film) == 11
    assert sheet.stat().st_size > 0


def test_a_policy_s_actions_are_held_as_it_was_trained(run: Path, task: Task) -> None:
    episode = shown_episode(task, 12, seed=0, dataset=None, trained_on="", policy=str(run / "policy"), at_most=False)
    blocks = episode.actions.reshape(4, 3, 2)
    np.testing.assert_array_equal(blocks, np.broadcast_to(blocks[:, :1], blocks.shape))
    assert np.unique(blocks[:, 0], axis=0).shape[0] == 4


def test_the_episode_is_one_of_the_standard_held_out_ones(task: Task) -> None:
    episode = shown_episode(task, 8, seed=3, dataset=None, trained_on="", policy=None, at_most=True)
    expected = collect_episode(task, PoissonBehaviour(), 20, HELD_OUT_SEED_OFFSET, 3)
    np.testing.assert_array_equal(episode.states, expected.states[:9])
    np.testing.assert_array_equal(episode.actions, expected.actions[:8])


class TestDataset:
    @pytest.fixture(scope="class")
    def dataset(self, task: Task, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
        folder = tmp_path_factory.mktemp("shown")
        episodes = [collect_episode(task, PoissonBehaviour(), 30, 1, index) for index in range(3)]
        states, actions = (np.stack([getattr(each, name) for each in episodes]) for name in ("states", "actions"))
        np.savez(folder / "recorded.npz", states=states, actions=actions)
        return import_npz(folder / "recorded.npz", task.name, folder / "data")

    def test_a_start_is_drawn(self, dataset: Dataset, task: Task) -> None:
        options = {"dataset": dataset, "trained_on": "another", "policy": None}
        episode = shown_episode(task, 10, seed=2, at_most=False, **options)
        trajectories = dataset.load()
        whole = trajectories.episode(episode.index)
        [start] = np.flatnonzero((whole.states == episode.states[0]).all(axis=1))
        np.testing.assert_array_equal(episode.states, whole.states[start : start + 11])
        np.testing.assert_array_equal(episode.actions, whole.actions[start : start + 10])
        np.testing.assert_array_equal(episode.context, whole.context)
        assert len(shown_episode(task, 100, seed=2, at_most=True, **options).actions) == 30
        with pytest.raises(MosimError, match="no episode of the dataset has 100 steps"):
            shown_episode(task, 100, seed=2, at_most=False, **options)

    def test_what_it_was_trained_on_is_warned_of(
        self, dataset: Dataset, task: Task, capfd: pytest.CaptureFixture[str]
    ) -> None:
        shown_episode(task, 5, seed=0, dataset=dataset, trained_on=dataset.id, policy=None, at_most=True)
        assert "was trained on" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--out", "film.gif"), "film.gif is not a valid name for a video; give one that ends in .mp4"),
        (("--sheet", "sheet.pdf"), "sheet.pdf is not a valid name for a contact sheet"),
        (("--steps", "3", "--seconds", "1"), "--steps and --seconds both set the length"),
        (("--task", "acrobot-swingup"), "does not fit system acrobot"),
        (("--camera", "fixt"), "did you mean fixed"),
        (("--width", "161"), "--width 161"),
        (("--data", "nowhere"), "there is no dataset at"),
    ],
)
def test_a_mistake_is_a_sentence(
    opengl: None, run: Path, arguments: tuple[str, ...], sentence: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert mosim(str(run), *arguments) == 2
    said = capfd.readouterr().err
    assert sentence in said
    assert "Traceback" not in said


def test_without_opengl_it_says_which_package_to_install(run: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from mosim.cli.main import main; main()", "show", str(run)]
    environment = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "MUJOCO_GL")}
    environment["__EGL_VENDOR_LIBRARY_FILENAMES"] = "/nowhere"
    film = tmp_path / "film.mp4"
    result = subprocess.run(
        [*command, "--out", str(film)], env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert "apt-get install libegl1" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not film.exists()
