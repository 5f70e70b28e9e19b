"""The table of Lyapunov exponents: of a simulator that is nearly MuJoCo, all figures agree."""

import types
from pathlib import Path

import numpy as np
import pytest

from mosim.data import PoissonBehaviour, Trajectories, collect_episode
from mosim.models import MujocoDynamics, Persistence
from mosim.tasks import load_task

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import lyapunov  # pyright: ignore[reportMissingImports]

    return lyapunov


def episodes(name: str, count: int, steps: int) -> Trajectories:
    task = load_task(name)
    return Trajectories.of(
        task.facts, [collect_episode(task, PoissonBehaviour(), steps, 0, index) for index in range(count)]
    )


def test_errors_of_physics_with_other_masses_grow_at_the_exponent(script: types.ModuleType, tmp_path: Path) -> None:
    held_out = episodes("cartpole-swingup", 20, 1000)
    other = load_task("cartpole-swingup")
    other.model.body_mass[-1] *= 1 + 1e-7
    found = script.measured("cartpole-swingup", MujocoDynamics(other), held_out, 20, 1000, 20)
    assert found["exponent_simulator"] == pytest.approx(found["exponent_mujoco"], abs=0.01)
    assert found["starts_mujoco"] == 20
    assert found["error_growth"] == pytest.approx(found["exponent_mujoco"], abs=4 * found["error_mujoco"])
    assert found["exponent_mujoco"] > 4 * found["error_mujoco"]
    assert 1.0 < found["seconds"] < 10.0
    script.draw([found], tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 0
    script.print_table([found])


def test_of_errors_that_are_large_at_once_no_growth_is_told(script: types.ModuleType) -> None:
    growth, seconds = script.error_growth(
        Persistence(load_task("cartpole-swingup").facts), episodes("cartpole-swingup", 2, 300), 300, 10
    )
    assert np.isnan(growth)
    assert seconds == 0.0


def test_a_folder_without_simulators_is_refused(script: types.ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="there is no simulator of variant tree and seed 0 in"):
        script.main((tmp_path,))
