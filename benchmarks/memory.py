"""Peak memory of training on a dataset, in a process that does nothing else; speed.py starts it.

    python benchmarks/memory.py DATASET OUT

Prints one line of JSON, in MB: `grown`, the peak above what the imports take; `total`, the peak; `arrays`, the data's.
"""

import json
import sys
from pathlib import Path

import torch

from mosim.data import Dataset
from mosim.training import Recipe, Trainer, TrainingData, load_recipe

_STEPS = 300
_ROLLOUT_STEPS = 20


def main(location: str, out: Path) -> None:
    _set_up_torch()
    before = _peak()
    dataset = Dataset.open(location)
    arrays = dataset.load()
    trainer = Trainer(
        system=arrays.facts.name,
        recipe=_shortened(load_recipe(arrays.facts.name, "geometry")),
        data=TrainingData.of(arrays, dataset.id),
        out=out,
    )
    trainer.run(lambda report: None)
    size = (arrays.states.nbytes + arrays.actions.nbytes) / 1e6
    print(json.dumps({"grown": _peak() - before, "total": _peak(), "arrays": size}))


def _set_up_torch() -> None:
    """One gradient step of anything: torch's optimisers import 70 MB of its compiler, wanted or not."""
    layer = torch.nn.Linear(64, 64)
    layer(torch.zeros(1, 64)).sum().backward()
    torch.optim.Adam(layer.parameters(), fused=True).step()


def _shortened(recipe: Recipe) -> Recipe:
    stages = [
        stage.model_copy(update={"steps": _STEPS if stage.horizon == 1 else _ROLLOUT_STEPS, "minutes": None})
        for stage in recipe.stages
    ]
    return recipe.model_copy(update={"stages": tuple(stages)})


def _peak() -> float:
    # Not getrusage's ru_maxrss, which a process started by a larger one inherits.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024 / 1e6


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
