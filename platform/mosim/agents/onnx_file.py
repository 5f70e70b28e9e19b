"""A policy as an ONNX file, for programs that have neither mosim nor torch."""

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mosim.agents.policy import Policy
from mosim.core.errors import MosimError
from mosim.core.files import atomic_path, require_writable

OBSERVATION, ACTION = "observation", "action"
"""Names of the input, `(batch, observation_size)` in float64, and of the output, `(batch, action_size)` in float32."""


def write_onnx(policy: Policy, path: Path) -> None:
    """Writes a policy as an ONNX model: observation filter, layers and control range.

    The action is that of `Policy.forward`. The file's metadata have the task and the action repeat.

    Args:
      policy: on the CPU.
      path: the file; replaced where it exists.

    Raises:
      MosimError: the packages that write ONNX are not installed, or the file cannot be written.
    """
    require_writable(path)
    try:
        import onnxscript  # noqa: F401 torch.onnx needs it, and names another package where it is absent.
    except ModuleNotFoundError:
        raise MosimError("writing ONNX needs the package onnxscript; run: pip install 'mosim[onnx]'") from None
    size = policy.facts.observation_size
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch 2.13 of its own tree specs.
        # Two rows, since an axis of one would be taken as a constant.
        program: Any = torch.onnx.export(
            _Action(policy).eval(),
            (torch.zeros(2, size, dtype=torch.float64),),
            input_names=[OBSERVATION],
            output_names=[ACTION],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            dynamo=True,
            verbose=False,
        )
    model = program.model_proto
    for key, value in (("task", policy.facts.task), ("action_repeat", str(policy.facts.action_repeat))):
        model.metadata_props.add(key=key, value=value)
    with atomic_path(path) as aside:
        aside.write_bytes(model.SerializeToString())


class _Action(nn.Module):
    """What is exported: `Policy.forward` without its handling of threads, which is not part of the computation."""

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self._policy = policy

    def forward(self, observation: Tensor) -> Tensor:
        return self._policy.control(self._policy.center(observation))
