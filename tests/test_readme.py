"""The README's commands and Python, run in their quick form in one folder, in the README's order."""

import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import ray
import yaml

from mosim_process import run_mosim

README = (Path(__file__).parent.parent / "README.md").read_text()

STAGES = [flag for stage in range(1) for flag in (f"stages.{stage}.steps", "100")]
POLICY = [
    "control-steps", "4000", "eval-interval", "2000", "eval-episodes", "2",
    "num-envs", "8", "rollout-fragment-length", "32", "minibatch-size", "64",
]  # fmt: skip

QUICK = {
    "run": [
        "--episodes", "10", "--heldout-episodes", "2",
        *(f"--simulator.{word}" if index % 2 == 0 else word for index, word in enumerate(STAGES)),
        *(f"--policy.{word}" if index % 2 == 0 else word for index, word in enumerate(POLICY)),
    ],
    "collect": ["--episodes", "5"],
    "learn": [
        "--true-steps", "200", "--rounds", "1",
        *(f"--policy.{word}" if index % 2 == 0 else word for index, word in enumerate(POLICY)),
    ],
    "plan": ["--episodes", "1", "--horizon", "3", "--samples", "8", "--iterations", "1", "--video-seconds", "0.1"],
    "show": ["--seconds", "0.2", "--width", "160"],
    "train": [f"--{word}" if index % 2 == 0 else word for index, word in enumerate(STAGES)],
    "zero-shot": [f"--{word}" if index % 2 == 0 else word for index, word in enumerate(POLICY)],
}  # fmt: skip
"""Flags that make a command quick, in the place of what the README says."""

SHOWN_BUT_NOT_RUN = ("make ", "mosim ui")


def commands() -> list[str]:
    """Every command behind a `$` in the README's console blocks, continued lines joined."""
    blocks = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]


def in_quick_form(words: list[str]) -> list[str]:
    quick = [] if "--help" in words else QUICK.get(words[1], [])
    flags = set(quick[::2])
    kept = [word for before, word in zip(["", *words], words, strict=False) if not flags & {before, word}]
    return [*kept, *quick]


def programs() -> list[str]:
    found = re.findall(r"^( *)```python\n(.*?)^ *```", README, re.DOTALL | re.MULTILINE)
    return [textwrap.dedent(program) for _, program in found]


def test_the_readme_shows_every_command() -> None:
    from mosim.cli.main import COMMANDS

    shown = {shlex.split(command)[1] for command in commands() if command.startswith("mosim ")}
    assert set(COMMANDS) <= shown
    assert {"make run", "make test"} <= set(commands())


@pytest.mark.timeout(1800)
def test_the_readme_s_commands_and_programs_run(tmp_path: Path, ray_of_two: None) -> None:
    # The commands share one Ray, which takes longer to start than most of them take.
    joined = {"RAY_ADDRESS": ray.get_runtime_context().gcs_address}
    write_npz(tmp_path)
    write_study(tmp_path)
    write_sweep(tmp_path)
    ran = False
    for command in commands():
        if command.startswith(SHOWN_BUT_NOT_RUN):
            continue
        words = shlex.split(command)
        assert words[0] == "mosim"
        if words[1] == "run" and "--help" not in words:
            # One whole run is enough; of others the words are checked.
            words, ran = [*words, *(["--help"] if ran else [])], True
        if words[1] == "show" and not can_draw():
            continue
        result = run_mosim(*in_quick_form(words)[1:], cwd=tmp_path, environment=joined)
        assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
    films = ("sim/reacher.mp4", "sim/reacher.png", "sim/zero-shot/policy.mp4")
    assert all((tmp_path / film).is_file() == can_draw() for film in films)
    for program in programs():
        result = subprocess.run(
            [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, f"{program}\n{result.stdout}\n{result.stderr}"


def can_draw() -> bool:
    from mosim.rendering import NoOpenGLError, require_opengl

    try:
        require_opengl()
    except NoOpenGLError:
        return False
    return True


def write_sweep(folder: Path) -> None:
    """The sweep that the README shows, in little."""
    [text] = re.findall(r"```yaml\n# search.yaml\n(.*?)```", README, re.DOTALL)
    sweep = yaml.safe_load(text)
    sweep |= {"minutes": 0.03, "data": {"episodes": 4, "steps": 150}, "budget": {"trials": 2}}
    (folder / "search.yaml").write_text(yaml.safe_dump(sweep))


def write_study(folder: Path) -> None:
    """The study that the README shows, in little."""
    [text] = re.findall(r"```yaml\n# compare.yaml\n(.*?)```", README, re.DOTALL)
    study = yaml.safe_load(text)
    study |= {"minutes": 0.02, "seeds": [0], "horizons": [1, 16], "starts": 20}
    study["data"] = {"episodes": 5, "held_out_episodes": 2}
    (folder / "compare.yaml").write_text(yaml.safe_dump(study))


def write_npz(folder: Path) -> None:
    """The recording that the README imports: three episodes of a reacher."""
    import numpy as np

    from mosim.data import PoissonBehaviour, collect_episode
    from mosim.tasks import load_task

    task = load_task("reacher-easy")
    episodes = [collect_episode(task, PoissonBehaviour(), 50, 0, index) for index in range(3)]
    np.savez(
        folder / "recorded.npz",
        states=np.stack([episode.states for episode in episodes]),
        actions=np.stack([episode.actions for episode in episodes]),
    )
