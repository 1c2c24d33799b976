"""Prepare the output folder: check it, and agree with other processes on one plan."""

from __future__ import annotations

import os
from pathlib import Path

from artifex.generative_models.core.files import create_atomic, disk_full_reason, temporary_files
from artifex.generative_models.modalities.audio.extraction.failures import keep_shards, read_failed_headers
from artifex.generative_models.modalities.audio.extraction.plan import Plan, read_plan
from artifex.generative_models.modalities.audio.extraction.plan_differences import describe_differences
from artifex.generative_models.modalities.audio.extraction.retrying import Backoff
from artifex.generative_models.modalities.audio.extraction.store import remove_shards_of_other_plans, write_if_changed
from artifex.generative_models.modalities.audio.shards import layout


def check_output_folder(folder: Path, sources: list[Path], *, given: str | os.PathLike[str]) -> None:
    """Raise unless a folder exists or can be created, and contains none of the recordings.

    Args:
        folder: The absolute path of the output folder.
        sources: Files and folders of recordings.
        given: The output folder as the user gave it, for messages.

    Raises:
        FileExistsError: When the folder is a file.
        NotADirectoryError: When a parent of it is a file.
        ValueError: When a recording is in the folder.
    """
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{given} is a file; give a folder to write to")
    for source in sources:
        if source.resolve().is_relative_to(folder):
            raise ValueError(f"{source} is in the output folder {given}; give another output folder")
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not existing.is_dir():
        raise NotADirectoryError(_cannot_create(folder, "Not a directory"))


def agree_on_plan(
    folder: Path,
    requested: Plan,
    *,
    overwrite: bool,
    retry_failures: bool,
    backoff: Backoff,
    given: str | os.PathLike[str],
) -> Plan:
    """Return the plan that all processes follow: the plan in the folder, or else the requested one, which is written to it.

    Args:
        folder: The absolute path of the output folder.
        requested: The requested plan, without headers and shards.
        overwrite: Whether to replace a different plan.
        retry_failures: Whether to read the headers of failed recordings again, which may have been replaced, and to replace
            the plan where this changes it.
        backoff: How often to read a header again.
        given: The output folder as the user gave it, for messages.

    Returns:
        The plan with its shards. When no header can be read, it has no shards and is not written.

    Raises:
        FileExistsError: When the folder contains a different plan and ``overwrite`` is False, or files of something else.
        AudioReadError: When a header cannot be read for a temporary reason.
        OSError: When the folder cannot be created.
    """
    differences: list[str] = []
    stored: Plan | None = None
    updated: Plan | None = None
    try:
        stored = read_plan(folder)
    except ValueError as error:
        differences = [str(error)]
    else:
        if stored is not None:
            if retry_failures:
                updated = read_failed_headers(folder, stored, requested, backoff)
            differences = describe_differences(updated or stored, requested)
            if not differences and updated is None:
                return stored
        else:
            _check_no_other_files(folder, overwrite=overwrite, given=given)
    if differences and not overwrite:
        raise FileExistsError(
            f"{given} contains another extraction: {'; '.join(differences)}. Give another folder, or replace it with "
            f"--overwrite (overwrite=True)"
        )
    plan = updated if updated is not None and not differences else requested.with_headers(backoff).with_shards()
    if not plan.shards:
        return plan
    try:
        (folder / layout.SHARDS).mkdir(parents=True, exist_ok=True)
        if stored is not None and plan is updated:
            keep_shards(folder, stored, plan)
        if differences or updated is not None:
            _replace_plan(folder, plan)
        elif not create_atomic(folder / layout.PLAN, plan.content):  # another process was faster
            return agree_on_plan(folder, requested, overwrite=False, retry_failures=False, backoff=backoff, given=given)
        write_if_changed(folder / layout.CONFIG, plan.config_content())
    except OSError as error:
        if disk_full_reason(error) is not None:
            raise
        raise type(error)(_cannot_create(folder, error.strerror)) from error
    return plan


def _cannot_create(folder: Path, reason: str | None) -> str:
    return f"{folder} cannot be created: {reason}; its parent, {folder.parent}, must be a writable folder"


def _check_no_other_files(folder: Path, *, overwrite: bool, given: str | os.PathLike[str]) -> None:
    """Raise when a folder without a plan contains files, except those of a process killed before it wrote the plan."""
    if not folder.exists():
        return
    temporary = temporary_files(folder)
    others = [entry for entry in folder.iterdir() if entry not in temporary]
    if others == [folder / layout.SHARDS] and not any(others[0].iterdir()):
        return
    if not others or (folder / layout.PLAN).exists():  # another process has written the plan meanwhile
        return
    if overwrite:
        raise FileExistsError(
            f"{given} contains files but no extraction ({layout.PLAN} is missing), and --overwrite replaces extractions only; "
            f"give another folder"
        )
    raise FileExistsError(f"{given} contains files but no extraction ({layout.PLAN} is missing); give another folder")


def _replace_plan(folder: Path, plan: Plan) -> None:
    """Replace the plan of a folder, and remove the shards of the old plan.

    Several processes may do so at the same time. The names of shards contain the plan, so a late process removes no shard
    that another has written for the new plan.
    """
    for name in (layout.MANIFEST, layout.FAILURES, layout.STATISTICS, layout.REPORT):
        (folder / name).unlink(missing_ok=True)
    write_if_changed(folder / layout.PLAN, plan.content)
    remove_shards_of_other_plans(folder, plan.digest)
