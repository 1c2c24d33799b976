"""Assignment of shards to the processes of one extraction."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

import attrs

_VARIABLES = (
    ("JAX_PROCESS_ID", "JAX_NUM_PROCESSES"),
    ("SLURM_PROCID", "SLURM_NTASKS"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("JOB_COMPLETION_INDEX", "JOB_COMPLETIONS"),
)
# Slurm numbers its own steps, such as the shell of salloc, from here.
_FIRST_SLURM_INTERNAL_STEP = 0xFFFFFFF0


@attrs.frozen
class ShardAssignment:
    """The shards of one of several processes: every ``count``-th shard, starting with shard ``index``.

    Args:
        index: Index of the process, from 0.
        count: Number of processes.
        origin: The option or variables that the numbers come from, for messages.

    Raises:
        ValueError: When ``index`` is not in [0, ``count``).

    Example:
        >>> [number for number in range(7) if ShardAssignment(1, 3).includes(number)]
        [1, 4]
    """

    index: int = 0
    count: int = 1
    origin: str = "--shard"

    def __attrs_post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            count = max(self.count, 1)
            raise ValueError(
                f"{self.origin} must be I/N with I from 0 to N - 1, got {self.index}/{self.count}; "
                f"for {count} {'process' if count == 1 else 'processes'} use 0/{count} to {count - 1}/{count}"
            )

    def includes(self, number: int) -> bool:
        """Return whether this process writes a shard.

        Args:
            number: Number of the shard, from 0.

        Returns:
            Whether it does.
        """
        return number % self.count == self.index


def parse_assignment(text: str) -> ShardAssignment:
    """Parse the value of ``--shard``.

    Args:
        text: ``"I/N"``, the index of the process and the number of processes.

    Returns:
        The assignment.

    Raises:
        ValueError: For any other text.

    Example:
        >>> parse_assignment("1/4").includes(5)
        True
    """
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None:
        raise ValueError(f"--shard must be I/N, process I of N, such as 0/4 to 3/4, got {text!r}")
    return ShardAssignment(int(match[1]), int(match[2]))


def assignment_from_environment(environment: Mapping[str, str] | None = None) -> ShardAssignment | None:
    """Read the assignment of this process from the environment variables of a cluster.

    The first pair of variables that is set is used:

    - ``JAX_PROCESS_ID`` and ``JAX_NUM_PROCESSES``, named after the arguments of ``jax.distributed.initialize``; JAX
      itself does not read them.
    - ``SLURM_PROCID`` and ``SLURM_NTASKS``, only in a step that ``srun`` started (``SLURM_STEP_ID`` and
      ``SLURM_STEP_NODELIST`` are set): a batch script has the first two as well, and is one process.
    - ``OMPI_COMM_WORLD_RANK`` and ``OMPI_COMM_WORLD_SIZE``, set by Open MPI.
    - ``JOB_COMPLETION_INDEX``, set by Kubernetes for indexed jobs, and ``JOB_COMPLETIONS``, which the pod template must
      set, since Kubernetes does not.

    Args:
        environment: The variables; None means those of this process.

    Returns:
        The assignment, or None when no pair is set.

    Raises:
        ValueError: For values that are not integers, or an index without a count.

    Example:
        >>> step = {"SLURM_STEP_ID": "0", "SLURM_STEP_NODELIST": "node[1-2]"}
        >>> assignment_from_environment({"SLURM_PROCID": "1", "SLURM_NTASKS": "4", **step})
        ShardAssignment(index=1, count=4, origin='SLURM_PROCID/SLURM_NTASKS')
        >>> assignment_from_environment({"SLURM_PROCID": "0", "SLURM_NTASKS": "4"})  # a batch script writes all shards
    """
    variables = os.environ if environment is None else environment
    for index, count in _VARIABLES:
        if index not in variables or count not in variables:
            continue
        if index == "SLURM_PROCID" and not _is_srun_step(variables):
            continue
        if not (re.fullmatch(r"\d+", variables[index]) and re.fullmatch(r"\d+", variables[count])):
            raise ValueError(
                f"{index} and {count} must be integers, got {variables[index]!r} and {variables[count]!r}; "
                f"correct them, or pass --shard I/N"
            )
        return ShardAssignment(int(variables[index]), int(variables[count]), f"{index}/{count}")
    if "JOB_COMPLETION_INDEX" in variables:
        raise ValueError(
            "JOB_COMPLETION_INDEX is set but JOB_COMPLETIONS is not: set JOB_COMPLETIONS to the number of completions in "
            "the pod's env, or pass --shard I/N (0/1: this pod writes all shards)"
        )
    return None


def _is_srun_step(variables: Mapping[str, str]) -> bool:
    step = variables.get("SLURM_STEP_ID", "")
    return (
        "SLURM_STEP_NODELIST" in variables
        and bool(re.fullmatch(r"\d+", step))
        and int(step) < _FIRST_SLURM_INTERNAL_STEP
    )
