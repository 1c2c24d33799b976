"""Which shards are this process's, when several work on one extraction."""

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
# Slurm's own steps, such as the shell of salloc, are numbered from here on.
_SLURM_OWN_STEPS = 0xFFFFFFF0


@attrs.frozen
class Share:
    """One of several equal parts of the work: the shards j with ``j % count == index``.

    Args:
        index: Which part, from 0.
        count: How many parts there are.
        origin: Where that was stated.

    Raises:
        ValueError: When there is no such part.

    Example:
        >>> [number for number in range(7) if Share(1, 3).holds(number)]
        [1, 4]
    """

    index: int = 0
    count: int = 1
    origin: str = "--shard"

    def __attrs_post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise ValueError(
                f"{self.origin} {self.index}/{self.count}: there is no such part; parts are counted from 0, so those of "
                f"{max(self.count, 1)} are 0/{max(self.count, 1)} to {max(self.count, 1) - 1}/{max(self.count, 1)}"
            )

    def holds(self, number: int) -> bool:
        """Say whether a shard is in this part.

        Args:
            number: The shard's number.

        Returns:
            Whether it is.
        """
        return number % self.count == self.index


def parsed_share(text: str) -> Share:
    """Return the part that is written as ``i/n``.

    Args:
        text: Such as ``"0/4"``.

    Returns:
        The part.

    Raises:
        ValueError: For anything else.

    Example:
        >>> parsed_share("1/4").holds(5)
        True
    """
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None:
        raise ValueError(f"--shard is I/N, the part and how many there are, such as 0/4 to 3/4, got {text!r}")
    return Share(int(match[1]), int(match[2]))


def share_of_environment(environment: Mapping[str, str] | None = None) -> Share | None:
    """Return the part that a cluster's variables give to this process.

    The first pair that is there counts: ``JAX_PROCESS_ID`` of ``JAX_NUM_PROCESSES``, the arguments of
    ``jax.distributed.initialize`` by their names, which JAX itself does not read; ``SLURM_PROCID`` of ``SLURM_NTASKS`` in
    a step that ``srun`` started, as ``SLURM_STEP_ID`` and ``SLURM_STEP_NODELIST`` tell, since a batch script has the
    first two as well and is one process (JAX reads them where there is also a ``SLURM_LOCALID``);
    ``OMPI_COMM_WORLD_RANK`` of ``OMPI_COMM_WORLD_SIZE`` (JAX reads them under Open MPI that sets
    ``OMPI_MCA_orte_hnp_uri``); and Kubernetes' ``JOB_COMPLETION_INDEX`` of ``JOB_COMPLETIONS``, which the job's own
    specification has to set, since Kubernetes does not say how many there are (JAX asks its API).

    Args:
        environment: The variables; None means those of this process.

    Returns:
        The part, or None where no cluster says so.

    Raises:
        ValueError: For variables that hold no such numbers, or an index without a count.

    Example:
        >>> step = {"SLURM_STEP_ID": "0", "SLURM_STEP_NODELIST": "node[1-2]"}
        >>> share_of_environment({"SLURM_PROCID": "1", "SLURM_NTASKS": "4", **step})
        Share(index=1, count=4, origin='SLURM_PROCID/SLURM_NTASKS')
        >>> share_of_environment({"SLURM_PROCID": "0", "SLURM_NTASKS": "4"})  # a batch script: all of the work
    """
    given = os.environ if environment is None else environment
    for index, count in _VARIABLES:
        if index in given and count in given and (index != "SLURM_PROCID" or _started_by_srun(given)):
            if not (re.fullmatch(r"\d+", given[index]) and re.fullmatch(r"\d+", given[count])):
                raise ValueError(
                    f"{index}={given[index]!r} and {count}={given[count]!r} are to be integers; mend them, or pass --shard I/N"
                )
            return Share(int(given[index]), int(given[count]), f"{index}/{count}")
    if "JOB_COMPLETION_INDEX" in given:
        raise ValueError(
            "JOB_COMPLETION_INDEX says that this is one of several pods, and nothing says of how many: set JOB_COMPLETIONS "
            "to the job's completions in the pod's env, or pass --shard I/N (0/1: this pod does all)"
        )
    return None


def _started_by_srun(given: Mapping[str, str]) -> bool:
    step = given.get("SLURM_STEP_ID", "")
    return "SLURM_STEP_NODELIST" in given and bool(re.fullmatch(r"\d+", step)) and int(step) < _SLURM_OWN_STEPS
