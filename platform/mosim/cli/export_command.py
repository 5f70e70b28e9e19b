"""`mosim export`: a policy as an ONNX file."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro
from pydantic import Field

from mosim.agents import load_policy, write_onnx
from mosim.cli.parsing import CommandOptions, Verbose, parse
from mosim.core.console import console, quiet
from mosim.core.errors import MosimError


class Options(CommandOptions):
    """Write a policy as an ONNX file, which other programs run without mosim, Ray and torch.

    The file has the observation filter, the layers and the control range: from the task's observation it computes the
    most likely action, in actuator units. Needs the extra mosim[onnx].

      mosim export runs/reacher-easy/zero-shot/policy --out reacher.onnx
    """

    policy: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="POLICY")] = Field(
        description="The folder of a policy that mosim trained."
    )
    out: Annotated[Path, tyro.conf.arg(metavar="FILE")] = Field(description="The ONNX file, with the suffix .onnx.")
    verbose: Verbose = Field(default=False, description="Show the output of libraries on the terminal.")


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    options = parse(Options, "export", arguments)
    if options.out.suffix != ".onnx":
        raise MosimError(f"--out {options.out}: the name must end in .onnx.")
    policy = load_policy(options.policy)
    facts = policy.facts
    with quiet(Path(os.devnull), options.verbose):
        write_onnx(policy, options.out)
    console.print(
        f"{options.out}: observation (batch, {facts.observation_size}) float64 to action (batch, {facts.action_size}) "
        f"float32, for {facts.task}; hold each action for {facts.action_repeat} control steps"
    )
