import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from artifex.generative_models.core.files import atomic_path, temporary_files
from artifex.generative_models.modalities.audio.base import AudioModalityConfig
from artifex.generative_models.modalities.audio.datasets.features import FeatureDataset
from artifex.generative_models.modalities.audio.extraction import (
    ShardAssignment,
    assignment_from_environment,
    completion,
    extract,
    plan,
    recordings,
    run,
    store,
    verify,
    writing,
)
from artifex.generative_models.modalities.audio.extraction.retrying import Backoff
from artifex.generative_models.modalities.audio.io import AudioReadError, write_audio
from artifex.generative_models.modalities.audio.shards.checksums import parse_with_checksum, with_checksum
from artifex.generative_models.modalities.audio.shards.layout import shard_prefix
from artifex.generative_models.modalities.audio.shards.reading import plan_digest, read_features
from artifex.generative_models.modalities.audio.shards.records import open_shard, unpack_example

RATE = 8000
STEP = {"SLURM_STEP_ID": "0", "SLURM_STEP_NODELIST": "node[1-2]"}
WAVES = AudioModalityConfig(representation="raw_waveform", sample_rate=RATE, normalize=False)

# Writes the shards of one process and kills itself at its n-th access to a file of the extraction. It does not import
# jax, so that it starts fast.
WRITER = """
import os, signal, sys, threading

recordings, out, index, count, kill_at = sys.argv[1], os.path.realpath(sys.argv[2]), *map(int, sys.argv[3:])
from artifex.generative_models.core import registry
from artifex.generative_models.modalities.audio.base import AudioModalityConfig
from artifex.generative_models.modalities.audio.extraction import ShardAssignment, encode, extract

class Plain:
    def __init__(self, config):
        self.shape = (2, config.n_time_frames)
    def encode(self, audio, *, lengths=None): ...
    def decode(self, encoded, *, key=None): ...

def features(config):
    def encoded(audio, *, lengths=None):
        sys.audit("encode", out)
        frames = audio.reshape(len(audio), -1, config.hop_length)
        return frames[..., :2].swapaxes(1, 2)
    return encoded

registry("representation").register("plain", Plain)
encode.encoder = features
done, lock = 0, threading.Lock()

def watch(event, arguments):
    global done
    if event in ("open", "os.link", "os.rename", "os.remove", "os.mkdir", "encode") and str(arguments[0]).startswith(out):
        with lock:
            done += 1
            if done == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(watch)
config = AudioModalityConfig(representation="plain", sample_rate=8000)
extract([recordings], out, config=config, batch_size=2, shard_size=1, assignment=ShardAssignment(index, count), report=False)
"""


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Nine recordings under two labels, and one that is cut off in a way that its header does not show."""
    audio = tmp_path_factory.mktemp("audio")
    for index in range(9):
        path = audio / ("dog", "cat")[index % 2] / f"{index}.wav"
        path.parent.mkdir(exist_ok=True)
        write_audio(path, np.random.default_rng(index).uniform(-0.5, 0.5, 1000 + 3000 * index), RATE)
    write_audio(audio / "dog" / "damaged.flac", np.random.default_rng(9).uniform(-0.5, 0.5, 20000), RATE)
    content = bytearray((audio / "dog" / "damaged.flac").read_bytes())
    content[len(content) // 2 : len(content) // 2 + 200] = bytes(200)
    (audio / "dog" / "damaged.flac").write_bytes(content)
    (audio / "empty.wav").touch()
    return audio


def extract_waveforms(folder: Path, out: Path, **options):
    return extract([folder], out, config=WAVES, **{"shard_size": 3, "report": False, **options})


@pytest.fixture(scope="module")
def whole(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "features"
    extract_waveforms(folder, out)
    return out


@pytest.mark.thorough
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no kill -9 on this system")
def test_two_writers_killed_repeatedly_write_the_same_bytes_as_one_undisturbed_writer(folder, tmp_path):
    def start(out: Path, index: int, count: int, kill_at: int) -> subprocess.Popen:
        words = [sys.executable, "-c", WRITER, folder, out, index, count, kill_at]
        return subprocess.Popen(
            [str(word) for word in words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    reference, out = start(tmp_path / "reference", 0, 1, 0), tmp_path / "made"
    _, errors = reference.communicate()
    assert reference.returncode == 0, errors
    moments = np.random.default_rng(5).integers(4, 30, 8)
    committed: set[str] = set()
    deaths = 0
    for kills in [*moments.reshape(-1, 2).tolist(), (0, 0)]:
        writers = [start(out, index, 2, kill_at) for index, kill_at in enumerate(kills)]
        for writer, kill_at in zip(writers, kills, strict=True):
            _, errors = writer.communicate(timeout=60)
            assert writer.returncode in ((0, -signal.SIGKILL) if kill_at else (0,)), errors
            deaths += writer.returncode != 0
        sidecars = {path.name for path in (out / "shards").glob("*.json")} if out.exists() else set()
        assert committed <= sidecars
        assert len(list(out.rglob("*.tmp"))) <= 2
        committed = sidecars
    assert deaths >= 6
    assert contents(out) == contents(tmp_path / "reference")
    assert {"plan.json", "config.toml", "manifest.jsonl", "failures.jsonl"} < set(contents(out))


def test_several_processes_write_the_same_bytes_as_one_and_the_last_completes_the_extraction(folder, whole, tmp_path):
    results = [
        extract_waveforms(folder, tmp_path / "made", assignment=ShardAssignment(index, 3)) for index in (2, 0, 1)
    ]
    assert [len(result.missing) for result in results] == [3, 1, 0]
    assert [result.n_written for result in results] == [1, 2, 1]
    failures = [[Path(failure["source"]).name for failure in result.failures] for result in results]
    both = [
        "damaged.flac",
        "empty.wav",
    ]  # empty.wav has no header: process 0 reports it, and the last process reports all
    assert failures == [[], both, both]
    assert contents(tmp_path / "made") == contents(whole)


def test_shards_are_bounded_and_labels_are_in_the_plan(folder, whole):
    table = json.loads((whole / "plan.json").read_bytes())
    assert table["labels"] == [folder.name, "cat", "dog"]
    assert [len(shard) for shard in table["shards"]] == [3, 3, 3, 1]
    assert sorted(index for shard in table["shards"] for index in shard) == [
        index for index, row in enumerate(table["recordings"]) if "error" not in row
    ]


def test_records_can_be_read_with_safetensors(whole):
    from safetensors.numpy import load

    record = next(iter(json.loads(line) for line in (whole / "manifest.jsonl").read_text().splitlines()))
    content = open_shard(whole / record["file"]).read([record["record"]])[0]
    assert load(content)["raw_waveform"].shape == tuple(record["shapes"]["raw_waveform"])
    described = unpack_example(content)[0]
    assert described == {key: value for key, value in record.items() if key not in ("file", "record")}


def test_complete_files_are_unchanged_and_missing_ones_are_written_again(folder, whole, tmp_path):
    out = tmp_path / "made"
    shutil.copytree(whole, out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    result = extract_waveforms(folder, out)
    assert (result.n_written, len(result.records), len(result.failures)) == (0, 9, 2)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    for name in ("manifest.jsonl", "shards/00001.arrayrecord", "shards/00002.json"):
        (out / in_plan(out, name)).unlink()
    assert extract_waveforms(folder, out).n_written == 2
    assert contents(out) == contents(whole)


def test_every_process_writes_the_same_report(tmp_path):
    options = {"config": WAVES.evolve(duration=0.1), "n_synthetic": 2, "n_report_examples": 1}
    extract([], tmp_path / "made", report=False, **options)
    assert extract([], tmp_path / "made", **options).n_written == 0
    extract([], tmp_path / "again", **options)
    page = (tmp_path / "made" / "report.html").read_bytes()
    assert page.count(b"data:image/png") == 1
    assert page == (tmp_path / "again" / "report.html").read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda audio: write_audio(audio / "new.wav", np.ones(100) / 2, RATE), "1 recording is new (new.wav)"),
        (lambda audio: (audio / "cat" / "1.wav").unlink(), "1 recording is in the folder but not among the inputs (cat/1.wav)"),
        (lambda audio: os.utime(audio / "cat" / "1.wav", (1, 1)), "1 recording is changed since the extraction was started (cat/1.wav)"),
        (lambda audio: [(audio / f"{i}.wav").touch() for i in range(5)], "5 recordings are new (0.wav, 1.wav, 2.wav and 2 more)"),
    ],
)  # fmt: skip
def test_other_recordings_raise(folder, tmp_path, change, message):
    audio, out = tmp_path / "audio", tmp_path / "made"
    shutil.copytree(folder, audio)
    extract_waveforms(audio, out)
    before = contents(out)
    change(audio)
    with pytest.raises(FileExistsError) as raised:
        extract_waveforms(audio, out)
    assert message in str(raised.value).replace(f"{audio}/", "")
    assert contents(out) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"config": WAVES.evolve(sample_rate=4000)}, "sample_rate is 8000 in the folder, 4000 was requested"),
        ({"variable_length": False}, "duration is variable in the folder, 2.0 was requested"),
        ({"shard_size": 4}, "the shard size is 3 in the folder, 4 was requested"),
    ],
)
def test_another_configuration_raises_and_is_replaced_with_overwrite(folder, whole, tmp_path, options, message):
    out = tmp_path / "made"
    shutil.copytree(whole, out)
    requested = {"config": WAVES, "shard_size": 3, "report": False, **options}
    with pytest.raises(FileExistsError, match=message):
        extract([folder], out, **requested)
    assert contents(out) == contents(whole)
    extract([folder], out, overwrite=True, **requested)
    extract([folder], tmp_path / "new", **requested)
    assert contents(out) == contents(tmp_path / "new")


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 4
    path.write_bytes(content)


def in_plan(out: Path, name: str) -> str:
    """Insert the digest of the plan into the name of a shard."""
    return re.sub(r"^shards/(?=\d{5}\.)", shard_prefix(plan_digest(out)), name)


def at(out: Path, name: str) -> Path:
    return out / in_plan(out, f"shards/{name}")


def other_plan(out: Path) -> None:
    path = at(out, "00001.json")
    table, _ = parse_with_checksum(path.read_bytes())
    path.write_bytes(with_checksum({**table, "plan": "0" * 64}))


FAULTS = {
    "a flipped bit in a shard": (
        lambda out: flip(at(out, "00001.arrayrecord"), 1000),
        "shards/00001.arrayrecord",
        "is damaged: its checksum is not that in its sidecar (",
    ),
    "a missing shard": (
        lambda out: (at(out, "00002.arrayrecord")).unlink(),
        "shards/00002.arrayrecord",
        "the shard is missing",
    ),
    "a missing sidecar": (
        lambda out: (at(out, "00002.json")).unlink(),
        "shards/00002.json",
        "00002.arrayrecord is not committed",
    ),
    "a shard gone with its sidecar": (
        lambda out: [(at(out, f"00002.{ending}")).unlink() for ending in ("json", "arrayrecord")],
        "shards/00002.arrayrecord",
        "the shard is missing",
    ),
    "a cut sidecar": (
        lambda out: os.truncate(at(out, "00000.json"), 300),
        "shards/00000.json",
        "the sidecar is damaged: it is truncated",
    ),
    "a flipped bit in a sidecar": (
        lambda out: flip(at(out, "00000.json"), 450),
        "shards/00000.json",
        "the sidecar is damaged",
    ),
    "a cut shard": (
        lambda out: os.truncate(at(out, "00001.arrayrecord"), 1000),
        "shards/00001.arrayrecord",
        "the shard has 1000 bytes",
    ),
    "a sidecar of another plan": (other_plan, "shards/00001.json", "belongs to another plan"),
    "a shard of another place": (
        lambda out: shutil.copy(at(out, "00000.arrayrecord"), at(out, "00001.arrayrecord")),
        "shards/00001.arrayrecord",
        "its checksum is not that in its sidecar; remove it",
    ),
    "a foreign file": (lambda out: (out / "shards" / "x.txt").touch(), "shards/x.txt", "is not part of the extraction"),
    "a foreign folder": (lambda out: (out / "old").mkdir(), "old", "is not part of the extraction"),
    "a leftover": (
        lambda out: (out / "shards" / ".00000.json.elsewhere-7-0123456789abcdef.tmp").touch(),
        "shards/.00000.json.elsewhere-7-0123456789abcdef.tmp",
        "is a temporary file",
    ),
    "a manifest that was edited": (
        lambda out: flip(out / "manifest.jsonl", 30),
        "manifest.jsonl",
        "does not agree with the shards",
    ),
    "no failures": (lambda out: (out / "failures.jsonl").unlink(), "failures.jsonl", "is missing"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_verify_reports_damage_and_the_same_call_repairs_it(folder, whole, tmp_path, fault):
    assert verify(whole).problems == []
    out = tmp_path / "made"
    shutil.copytree(whole, out)
    damage, file, message = FAULTS[fault]
    damage(out)
    [problem] = verify(out).problems
    file = in_plan(out, file)
    assert problem.source == file
    assert message in problem.message
    if "remove" in problem.message:
        shutil.rmtree(out / file) if (out / file).is_dir() else (out / file).unlink()
    extract_waveforms(folder, out)
    assert verify(out).problems == []
    assert contents(out) == contents(whole)


def test_a_damaged_plan_is_reported_and_replaced_only_with_overwrite(folder, whole, tmp_path):
    out = tmp_path / "made"
    shutil.copytree(whole, out)
    flip(out / "plan.json", 600)
    [problem] = verify(out).problems
    assert problem.source == "plan.json"
    with pytest.raises(FileExistsError, match=r"plan.json is damaged.*--overwrite"):
        extract_waveforms(folder, out)
    extract_waveforms(folder, out, overwrite=True)
    assert contents(out) == contents(whole)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, None),
        ({"SLURM_PROCID": "1", "SLURM_NTASKS": "4", **STEP}, (1, 4)),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}, None),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4", **STEP, "SLURM_STEP_ID": "batch"}, None),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4", **STEP, "SLURM_STEP_ID": "4294967290"}, None),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4", "SLURM_STEP_ID": "0"}, None),
        ({"SLURM_NTASKS": "4"}, None),
        ({"JOB_COMPLETION_INDEX": "2", "JOB_COMPLETIONS": "3"}, (2, 3)),
        ({"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "2"}, (0, 2)),
        ({"JAX_PROCESS_ID": "1", "JAX_NUM_PROCESSES": "2", "SLURM_PROCID": "0", "SLURM_NTASKS": "1", **STEP}, (1, 2)),
        ({"JOB_COMPLETION_INDEX": "2"}, "set JOB_COMPLETIONS"),
        (
            {"SLURM_PROCID": "4", "SLURM_NTASKS": "4", **STEP},
            "SLURM_PROCID/SLURM_NTASKS must be I/N with I from 0 to N - 1, got 4/4",
        ),
        (
            {"JAX_PROCESS_ID": "one", "JAX_NUM_PROCESSES": "2"},
            "JAX_PROCESS_ID and JAX_NUM_PROCESSES must be integers, got 'one'",
        ),
    ],
)
def test_the_assignment_is_read_from_the_variables_of_the_cluster(variables, expected):
    if isinstance(expected, str):
        with pytest.raises(ValueError, match=expected):
            assignment_from_environment(variables)
        return
    assignment = assignment_from_environment(variables)
    assert expected == (assignment and (assignment.index, assignment.count))


def test_the_command_prints_its_assignment_the_missing_shards_and_completion(artifex, monkeypatch, tmp_path):
    def run(*words: object, **variables: str) -> tuple[int, str]:
        with monkeypatch.context() as context:
            for name, value in variables.items():
                context.setenv(name, value)
            return artifex("extract", *words)[:2]

    words = (
        "--n-synthetic",
        3,
        "--duration",
        0.1,
        "--shard-size",
        1,
        "--representation",
        "raw_waveform",
        "--no-report",
    )
    code, out = run(*words, SLURM_PROCID="1", SLURM_NTASKS="2", **STEP)
    assert code == 0
    assert "process 1 of 2, 3 shards in total (from SLURM_PROCID/SLURM_NTASKS; --shard 0/1 writes all shards)" in out
    assert "2 of 3 shards missing" in out
    code, out = run(*words, "--shard", "0/2")
    assert code == 0
    assert "process 0 of 2, 3 shards in total\n" in out
    assert "3 recordings" in out
    assert "(1 of 3 shards already written)" in out
    code, out = run(*words)
    assert code == 0
    assert "already complete: 3 recordings" in out
    code, out = run("--verify")
    assert code == 0
    assert "3 in 3 shards" in out
    assert out.endswith("features is intact: every byte agrees with its checksum\n")
    features = tmp_path / "features"
    flip(at(features, "00000.arrayrecord"), 1000)
    (tmp_path / "features" / "notes.txt").touch()
    code, out = run("--verify", "features")
    assert code == 1
    assert f"features/{at(features, '00000.arrayrecord').relative_to(features)}: the shard is damaged" in out
    assert "features/notes.txt: is not part of the extraction; move or remove it" in out
    assert "2 problems in features" in out


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed; .ci/run installs it")
def test_ray_writes_the_same_shards(folder, whole, tmp_path):
    command = [sys.executable, "-c", "from artifex.generative_models.core.cli import main; main()", "extract", folder]
    options = ("--representation", "raw_waveform", "--sample-rate", RATE, "--no-normalize", "--shard-size", 3)
    done = subprocess.run(
        [str(word) for word in (*command, *options, "--no-report", "--engine", "ray", "--out", "made")],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "COLUMNS": "300", "RAY_USAGE_STATS_ENABLED": "0"},
    )
    assert done.returncode == 1, done.stderr  # two recordings cannot be extracted
    assert "9 recordings" in done.stdout
    assert contents(tmp_path / "made") == contents(whole)


def test_without_array_record_the_error_names_the_extra(monkeypatch, tmp_path):
    class Absent:
        def find_spec(self, name, path=None, target=None):
            if name == "array_record":
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    for name in [name for name in sys.modules if name.partition(".")[0] == "array_record"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Absent(), *sys.meta_path])
    with pytest.raises(ImportError, match=r"pip install 'artifex-audio\[loader\]'"):
        extract([], tmp_path / "made", config=WAVES, n_synthetic=1, report=False)


def test_temporary_files_of_killed_processes_are_removed_and_others_kept(folder, whole, tmp_path):
    killed = subprocess.Popen([sys.executable, "-c", ""])
    killed.wait()
    with atomic_path(tmp_path / "00000.json") as temporary:
        name = temporary.name
    shutil.copytree(whole, tmp_path / "made")
    names = [re.sub(r"-\d+-(?=[0-9a-f]{16})", f"-{pid}-", name) for pid in (killed.pid, os.getppid())]
    names.append(re.sub(r"json\..+-\d+-(?=[0-9a-f]{16})", f"json.other-{killed.pid}-", name))
    shards = tmp_path / "made" / "shards"
    at(tmp_path / "made", "00000.json").unlink()
    for each in names:
        (shards / each).touch()
        (shards.parent / each).touch()
    extract_waveforms(folder, tmp_path / "made", assignment=ShardAssignment(1, 2))
    assert {path.name for path in temporary_files(shards)} == set(names[1:])
    extract_waveforms(folder, tmp_path / "made")  # complete: no process on another host needs its files any more
    for swept in (shards, shards.parent):
        assert [path.name for path in temporary_files(swept)] == [names[1]]


def test_reading_a_flipped_bit_raises(whole, tmp_path):
    out = tmp_path / "made"
    shutil.copytree(whole, out)
    flip(at(out, "00000.arrayrecord"), 1000)
    with pytest.raises(OSError, match=r"00000.arrayrecord: record \d is damaged.*remove the shard"):
        list(read_features(out))


def test_a_process_whose_plan_was_replaced_raises_and_does_not_touch_the_new_features(folder, whole, tmp_path):
    out = tmp_path / "made"
    shutil.copytree(whole, out)
    old = plan.read_plan(out)
    extract([folder], out, config=WAVES.evolve(normalize=True), shard_size=3, report=False, overwrite=True)
    before = contents(out)
    sidecars = {number: store.read_sidecar(whole, number, old.digest) for number in range(len(old.shards))}
    for late in (
        lambda: writing.write_shards(out, old, [0], Path.cwd(), Backoff()),
        lambda: completion.complete_extraction(
            out, old, sidecars, report=False, n_report_examples=0, backoff=Backoff()
        ),
    ):
        with pytest.raises(FileExistsError, match="plan.json was replaced while this process was running"):
            late()
        assert contents(out) == before
    shutil.copy(whole / "manifest.jsonl", out / "manifest.jsonl")
    with pytest.raises(ValueError, match="belongs to another plan"):
        read_features(out)
    with pytest.raises(ValueError, match="belongs to another plan"):
        FeatureDataset(out)


def test_a_shard_that_another_process_committed_meanwhile_is_accepted(whole, tmp_path):
    out = tmp_path / "made"
    shutil.copytree(whole, out)
    digest = plan_digest(out)

    class Cleared(list):
        def __iter__(self):
            yield from list.__iter__(self)
            for path in temporary_files(out / "shards"):
                path.unlink()

    example = {"index": 0, "dtypes": {"x": "float32"}}, {"x": np.zeros(3, np.float32)}
    store.write_shard(out, 0, digest, Cleared([example]), [])
    assert contents(out) == contents(whole)
    at(out, "00000.json").unlink()
    with pytest.raises(FileNotFoundError):
        store.write_shard(out, 0, digest, Cleared([example]), [])


@pytest.mark.parametrize("broken", [False, True])
def test_a_recording_that_changes_after_the_plan_was_written_raises(tmp_path, monkeypatch, broken):
    (tmp_path / "audio").mkdir()
    for name in ("a", "b"):
        write_audio(tmp_path / "audio" / f"{name}.wav", np.full(1000, 0.25), RATE)
    path, writing = tmp_path / "audio" / "b.wav", run.write_shards

    def change(*arguments, **options):
        path.write_bytes(b"no audio" if broken else path.read_bytes()[:-2] + b"\0\1")
        os.utime(path, (1, 1))
        writing(*arguments, **options)

    monkeypatch.setattr(run, "write_shards", change)
    with pytest.raises(OSError, match=r"b\.wav has changed since the extraction was started.*--overwrite"):
        extract([tmp_path / "audio"], tmp_path / "made", config=WAVES, shard_size=2, report=False)
    assert list((tmp_path / "made" / "shards").iterdir()) == []


@pytest.mark.parametrize("function", ["decode", "probe"])
def test_a_temporary_error_is_not_a_failure_and_is_retried(folder, whole, tmp_path, monkeypatch, function):
    reading = getattr(recordings, function)

    def crowded(path, *arguments, **options):
        if Path(path).name == "3.wav":
            error = AudioReadError(path, "cannot be opened: Too many open files")
            error.transient = True
            raise error
        return reading(path, *arguments, **options)

    with monkeypatch.context() as context:
        context.setattr(recordings, function, crowded)
        with pytest.raises(AudioReadError, match=r"3\.wav: .*Too many open files; this may be temporary"):
            extract_waveforms(folder, tmp_path / "made")
    extract_waveforms(folder, tmp_path / "made")
    assert contents(tmp_path / "made") == contents(whole)
