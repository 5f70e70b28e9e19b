"""`mosim identify` on robots that have learned their own numbers: what it prints and writes, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from mosim.cli.main import main
from mosim.data import PoissonBehaviour, collect_episode, import_npz
from mosim.models import NetworkConfig, NeuralSimulator, NeuralSimulatorConfig, Statistics, identify
from mosim.robots import System
from mosim.tasks import load_system
from mosim.training.checkpoint import save_checkpoint

ARTICULATED = NeuralSimulatorConfig(predictor="articulated", correctors=())
NETWORK = NetworkConfig(width=8, depth=1)


def save(folder: Path, system: System, simulator: NeuralSimulator, dataset_id: str = "abc") -> None:
    save_checkpoint(
        folder / "checkpoints", "step-00000001-stage-0", simulator, {}, system=system.source, recipe={},
        dataset_id=dataset_id, cursor={},
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data and runs of reacher: `one` and `two` have learned its masses, `networks` has none; and a run of an arm."""
    folder = tmp_path_factory.mktemp("identify")
    system = load_system("reacher-easy")
    episodes = [collect_episode(system, PoissonBehaviour(), 200, 0, index) for index in range(4)]
    states, actions = (np.stack([getattr(each, name) for each in episodes]) for name in ("states", "actions"))
    np.savez(folder / "recorded.npz", states=states, actions=actions)
    dataset = import_npz(folder / "recorded.npz", system.source, folder / "data" / "reacher-easy")
    rows = tuple(
        torch.from_numpy(part.reshape(-1, part.shape[-1])) for part in (states[:, :-1], actions, states[:, 1:])
    )
    statistics = Statistics.of(system.facts, rows[0].numpy(), rows[2].numpy())
    for name, noise in (("one", 0.0), ("two", 1e-6)):
        simulator = NeuralSimulator(system.facts, ARTICULATED, statistics)
        random = torch.Generator().manual_seed(0)
        identify(simulator, rows[0], rows[1], rows[2] + noise * torch.randn(rows[2].shape, generator=random))
        save(folder / name, system, simulator, dataset.id)
    networks = NeuralSimulatorConfig(inertia=NETWORK, bias=NETWORK, correctors=())
    save(folder / "networks", system, NeuralSimulator(system.facts, networks, statistics))
    other = load_system("pendulum-swingup")
    save(folder / "pendulum", other, NeuralSimulator(other.facts, ARTICULATED, Statistics.neutral(other.facts)))
    swings = [collect_episode(other, PoissonBehaviour(), 50, 0, index) for index in range(2)]
    states, actions = (np.stack([getattr(each, name) for each in swings]) for name in ("states", "actions"))
    np.savez(folder / "swings.npz", states=states, actions=actions)
    import_npz(folder / "swings.npz", other.source, folder / "swings")
    return folder


@pytest.fixture(autouse=True)
def _here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def mosim(*arguments: str) -> int:
    try:
        main(["identify", *arguments])
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def test_numbers_stand_beside_mujocos(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out, record = folder / "reacher.xml", folder / "reacher.json"
    assert mosim("one", "--data", "data/reacher-easy", "--out", str(out), "--json", str(record)) == 0
    said = capfd.readouterr().out
    assert "taken as known: the gear of shoulder, 0.05, which sets the scale" in said
    assert "Izz of arm + armature of shoulder + 0.0144 mass of hand (kg m2)" in said
    assert "+1 kg mass of hand, -0.0144 kg m2 Izz of arm" in said
    assert f"wrote {out}" in said
    line = next(line for line in said.splitlines() if line.startswith("joint wrist"))
    assert [float(word) for word in line.split()[-4::2]] == pytest.approx([0.01, 0.01], rel=1e-4)
    found = json.loads(record.read_text())
    assert found["written"]["file"] == str(out)
    assert found["rollouts"][0]["written, truth median"] < 1e-12
    [gear] = [each for each in found["numbers"] if each["of"] == "actuator wrist"]
    assert gear["value"] == pytest.approx(0.05, rel=1e-4)
    assert abs(gear["difference"]) < 1e-4
    model = load_system(str(out)).model
    assert model.actuator_gear[:, 0] == pytest.approx([0.05, 0.05], rel=1e-4)
    assert model.dof_damping == pytest.approx([0.01, 0.01], rel=1e-4)
    # What was written can be compared with, and replaced.
    assert mosim("one", "--against", str(out), "--out", str(out)) == 0
    assert "reacher.xml" in capfd.readouterr().out


def test_the_data_that_it_was_trained_on_are_found(capfd: pytest.CaptureFixture[str]) -> None:
    assert mosim("one") == 0
    assert "no --data is given: using" in capfd.readouterr().out
    assert mosim("pendulum") == 0
    said = capfd.readouterr().out
    assert "there are no intervals" in said
    assert "± 95%" not in said


def test_several_seeds_show_their_spread(capfd: pytest.CaptureFixture[str]) -> None:
    assert mosim("one", "two") == 0
    said = capfd.readouterr().out
    assert "means of 2 checkpoints" in said
    assert "spread" in said


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("networks",), "the simulator in networks is of the kind rigid_body, which has no masses"),
        (("one", "pendulum"), "the simulator in pendulum does not fit system reacher"),
        (("one", "--data", "swings"), "does not fit system reacher"),
        (("one", "--data", "nowhere"), "there is no dataset at"),
        (("one", "--against", "gone.xml"), "there is no MJCF file at gone.xml"),
        (
            ("one", "--against", "acrobot-swingup"),
            "the model acrobot-swingup is a different robot from reacher: nq, nv, nu",
        ),
        (("one", "--out", "robot.urdf"), "robot.urdf is not a valid name for an MJCF file"),
        (("one", "--out", "mine.xml"), "mine.xml was not written by mosim and is not replaced"),
        (("one", "two", "--out", "robot.xml"), "--out writes one robot, but 2 checkpoints are given"),
        (("nothing",), "nothing"),
        ((), ""),
    ],
)
def test_a_mistake_is_a_sentence(
    folder: Path, arguments: tuple[str, ...], sentence: str, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder / "mine.xml").write_text("<mujoco/>")
    assert mosim(*arguments) == 2
    said = capfd.readouterr().err
    assert sentence in said
    assert "Traceback" not in said
    assert (folder / "mine.xml").read_text() == "<mujoco/>"
    assert not (folder / "robot.xml").exists()


def test_a_model_that_is_gone_is_named(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert mosim("one", "--out", "moving.xml") == 0
    system = load_system("moving.xml")
    save(folder / "moved", system, NeuralSimulator(system.facts, ARTICULATED, Statistics.neutral(system.facts)))
    elsewhere = (folder / "moving.xml").rename(tmp_path / "elsewhere.xml")
    capfd.readouterr()
    assert mosim("moved") == 0
    said = capfd.readouterr().out
    assert "there is no MJCF to compare with: the simulator in moved is of the model" in said
    assert "give its new path: --against PATH" in said
    assert mosim("moved", "--out", "robot.xml") == 2
    assert "--out needs the simulator's own model" in capfd.readouterr().err
    assert mosim("moved", "--out", str(tmp_path / "robot.xml"), "--against", str(elsewhere)) == 0
    assert (tmp_path / "robot.xml").is_file()
