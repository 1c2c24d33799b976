"""``artifex features`` and ``artifex preset diff``: output, files and exit codes."""

import json
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile

from artifex.generative_models.core import cli, refresh, registry
from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig, plot

HERE = "artifex.generative_models.extensions.audio_processing.spectral"


@pytest.fixture
def artifex(capsys, monkeypatch, tmp_path):
    """Return a function that runs the command line in an empty folder and returns its exit code and output."""
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def run(*arguments) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["artifex", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return ended.value.code, captured.out, captured.err

    return run


@pytest.fixture
def tone(tmp_path, signals):
    file = tmp_path / "tone.wav"
    soundfile.write(file, signals["tone"], 8000)
    return file


@pytest.fixture
def undrawn(monkeypatch):
    """Write the signature of a PNG file instead of a plot, where only the printed text is tested: drawing takes a second."""

    class Figure:
        def savefig(self, file, **_):
            Path(file).write_bytes(b"\x89PNG")

    monkeypatch.setattr(plot, "features_figure", lambda *_, **__: Figure())


def table_of(out: str) -> dict[str, list[float]]:
    """Return mean, standard deviation, minimum and maximum by the name of the feature."""
    number = r"(-?\d[\d.]*(?:e[+-]\d+)?)"
    rows = re.findall(rf"^  (\w+(?: \d+)?) +{number} +{number} +{number} +{number}\b", out, re.MULTILINE)
    return {name: [float(value) for value in values] for name, *values in rows}


def settings_of(out: str) -> dict[str, list[str]]:
    """Return the value of A, the value of B and the description, by setting."""
    rows = [re.split(r" {2,}", line.strip().removeprefix("≠ ")) for line in out.splitlines()]
    return {row[0]: row[1:] for row in rows if len(row) == 4}


def test_features_writes_a_plot_and_prints_facts_of_the_file(artifex, tone, tmp_path):
    code, out, err = artifex("features", tone)
    assert (code, err) == (0, "")
    image = tmp_path / "here" / "tone.features.png"
    assert image.read_bytes().startswith(b"\x89PNG")
    assert [file.name for file in image.parent.iterdir()] == [image.name]
    assert out.startswith(f"{tone}\n")
    for fact in (
        r"sample rate  8000 Hz",
        r"channels     1",
        r"duration     0.500 s, 4000 samples",
        r"peak         -6\.0 dBFS",
        r"RMS          -9\.0 dBFS",
        r"silence      0\.0 % of the time",
    ):
        assert re.search(rf"^  {fact}", out, re.MULTILINE), out
    assert (
        "librosa's settings, with n_fft adapted to the sample rate: n_fft 512, hop 128 (16.0 ms), 128 slaney bands, 32 frames"
        in out
    )
    assert "plot: tone.features.png" in out


@pytest.mark.usefixtures("undrawn")
def test_features_prints_statistics_with_units(artifex, tone, signals):
    _, out, _ = artifex("features", tone)
    found = table_of(out)
    assert {"rms", "spectral_centroid", "onset_strength", "log_mel_spectrogram", "mfcc 0", "mfcc 12"} <= set(found)
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(signals["tone"], 256), 512)[::128]
    rms = np.sqrt(np.mean(frames**2, axis=1))
    np.testing.assert_allclose(found["rms"], [rms.mean(), rms.std(), rms.min(), rms.max()], rtol=2e-3)
    assert re.search(r"^  spectral_rolloff .* Hz$", out, re.MULTILINE)
    assert re.search(r"^  log_mel_spectrogram .* dB$", out, re.MULTILINE)


def test_features_averages_channels_and_prints_the_fraction_of_silence(artifex, tmp_path, signals):
    both = np.stack([signals["tone"], signals["tone"]], axis=1)
    both[1200:2000] = 0.0
    soundfile.write(tmp_path / "both.flac", both, 8000)
    code, out, _ = artifex("features", tmp_path / "both.flac")
    assert code == 0
    assert "2, averaged for the features" in out
    assert "20.0 % of the time below -60 dBFS" in out


@pytest.mark.parametrize("samples", [np.zeros(4000), [0.5]])
def test_silence_and_a_single_sample_are_plotted(artifex, tmp_path, samples):
    soundfile.write(tmp_path / "odd.wav", samples, 8000)
    code, out, err = artifex("features", tmp_path / "odd.wav")
    assert (code, err) == (0, "")
    assert ("silent" in out) == (not np.any(samples))
    assert all(np.isfinite(values).all() for values in table_of(out).values())


@pytest.mark.parametrize(
    ("rate", "n_fft"), [(8000, 512), (11025, 1024), (16000, 1024), (22050, 2048), (44100, 2048), (48000, 2048)]
)
def test_default_frames_are_adapted_to_the_sample_rate(rate, n_fft):
    from artifex.plugins.spectral_commands import default_config

    assert (default_config(rate).sample_rate, default_config(rate).n_fft, default_config(rate).hop) == (
        rate,
        n_fft,
        n_fft // 4,
    )


@pytest.mark.usefixtures("undrawn")
def test_features_accepts_a_preset_by_name_and_distribution(artifex, install, tone, config):
    source = f"""
        from {HERE}.config import SpectralConfig

        ours = SpectralConfig(sample_rate=8000, n_fft=512, n_mels=40)
    """
    install("first-dist", {"artifex.presets": {"ours": "ours_presets:ours"}}, modules={"ours_presets": source})
    install("second-dist", {"artifex.presets": {"ours": "nowhere:ours"}})
    code, _, err = artifex("features", tone, "--preset", "ours")
    assert code == 2
    assert "ours@first-dist" in err
    code, out, _ = artifex("features", tone, "--preset", "ours@first-dist", "--out", "mine.png")
    assert code == 0
    assert "ours@first-dist: n_fft 512, hop 128 (16.0 ms), 40 slaney bands" in out
    assert "plot: mine.png" in out


@pytest.mark.usefixtures("undrawn")
def test_features_accepts_a_configuration_file(artifex, tone, config, tmp_path):
    config.to_file(tmp_path / "ours.toml")
    code, out, _ = artifex("features", tone, "--config", tmp_path / "ours.toml")
    assert code == 0
    assert "ours.toml: n_fft 512, hop 128 (16.0 ms), 40 slaney bands" in out


@pytest.mark.usefixtures("undrawn")
def test_features_reports_channels_that_cancel(artifex, signals, tmp_path):
    soundfile.write(tmp_path / "both.wav", np.stack([signals["tone"], -signals["tone"]], axis=1), 8000)
    code, out, _ = artifex("features", tmp_path / "both.wav", "--out", tmp_path / "both.png")
    assert code == 0
    assert "100.0 % of the time below -60 dBFS; the channels cancel in their mean" in out


@pytest.mark.usefixtures("undrawn")
def test_features_reports_a_file_that_cannot_be_written(artifex, tone, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = artifex("features", tone, "--out", tmp_path / "file" / "image.png")
    assert code == 2
    assert ".tmp" not in err


@pytest.mark.usefixtures("undrawn")
def test_features_overwrites_only_with_the_option(artifex, tone, tmp_path):
    there = tmp_path / "here" / "tone.features.png"
    there.write_text("mine")
    code, _, err = artifex("features", tone)
    assert (code, there.read_text()) == (2, "mine")
    assert "--overwrite to replace it" in err
    assert artifex("features", tone, "--overwrite")[0] == 0
    assert there.read_bytes().startswith(b"\x89PNG")


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda content: b"", "the file is empty (0 bytes)"),
        (lambda content: b"no audio at all " * 100, "is not audio that can be decoded"),
        (lambda content: content[:20], "is not audio that can be decoded"),
        (cut, "is truncated: the header declares 8000 bytes of audio"),
        (None, "no such file"),
    ],
)
def test_a_file_that_cannot_be_read_prints_one_line_and_exits_with_1(artifex, tone, tmp_path, spoil, message):
    if spoil is None:
        tone.unlink()
    else:
        tone.write_bytes(spoil(tone.read_bytes()))
    code, out, err = artifex("features", tone)
    assert (code, out) == (1, "")
    assert err.startswith(f"artifex: {tone}: {message}")
    assert err.count("\n") == 1
    assert list((tmp_path / "here").iterdir()) == []


def test_nan_samples_and_folders_are_errors(artifex, tmp_path):
    soundfile.write(tmp_path / "nan.wav", np.array([0.0, np.nan, np.inf]), 8000, subtype="FLOAT")
    code, _, err = artifex("features", tmp_path / "nan.wav")
    assert (code, err.count("\n")) == (1, 1)
    assert "contains 2 samples that are NaN or infinite" in err
    code, _, err = artifex("features", tmp_path)
    assert (code, err) == (1, f"artifex: {tmp_path}: is a folder; pass a file in it\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--preset", "whisper"),
            "whisper requires 16000 Hz, {tone} has 8000 Hz; resample it first, for example with `ffmpeg",
        ),
        (("--preset", "wisper"), "no preset 'wisper' is installed. Did you mean 'whisper'?"),
        (("--preset", "kaldi", "--config", "a.toml"), "--preset and --config must not be combined"),
        (("--config", "a.toml"), "a.toml cannot be read: No such file"),
        (("--out", "a.jpg"), "--out must end in .png, got 'a.jpg'"),
        (("--out", "nowhere/a.png"), "nowhere/a.png: the folder nowhere does not exist"),
    ],
)
def test_wrong_usage_prints_one_line_and_exits_with_2(artifex, tone, arguments, message):
    code, out, err = artifex("features", tone, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"artifex: {message.format(tone=tone)}")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("module", "extra"), [("soundfile", "artifex-audio[files]"), ("matplotlib", "artifex-spectral[plot]")]
)
def test_a_missing_extra_is_named(artifex, tone, monkeypatch, module, extra):
    monkeypatch.setitem(sys.modules, module, None)
    code, _, err = artifex("features", tone)
    assert code == 2
    assert f"pip install '{extra}'" in err


def test_missing_artifex_audio_is_named(artifex, tone, monkeypatch, fresh_registry):
    monkeypatch.setenv("ARTIFEX_DISABLE_PLUGINS", "artifex-audio")
    refresh()
    code, _, err = artifex("features", tone)
    assert code == 2
    assert "dataset 'files' of artifex-audio, which is not installed: pip install 'artifex-audio[files]'" in err


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "aiff"])
def test_features_reads_every_format_that_artifex_audio_reads(artifex, signals, tmp_path, suffix):
    file = tmp_path / f"a [1] tone.{suffix}"
    soundfile.write(file, signals["tone"], 8000)
    code, out, err = artifex("features", file)
    assert (code, err) == (0, "")
    assert "sample rate  8000 Hz" in out


def test_diff_prints_the_effective_settings_that_differ(artifex, fresh_registry):
    registry("preset").register("one", SpectralConfig(n_fft=1024, n_mels=80))
    registry("preset").register("two", SpectralConfig(n_fft=1024, hop_length=256, n_mels=80, f_max=8000.0, log="ln"))
    code, out, err = artifex("preset", "diff", "one", "two")
    assert (code, err) == (0, "")
    assert out.startswith("one and two differ in 2 of ")
    found = settings_of(out)
    assert found.keys() == {"f_max", "log"}
    assert found["f_max"][:2] == ["11025.0", "8000.0"]
    assert found["f_max"][2].startswith("Upper edge of the mel bands in Hz")
    assert found["log"][:2] == ["db", "ln"]


def test_diff_of_tools_prints_their_differences(artifex):
    found = settings_of(artifex("preset", "diff", "whisper", "kaldi")[1])
    assert found["input_scale"][:2] == ["1.0", "32768.0"]
    assert found["pad_length"][:2] == ["200", "0"]
    assert found["window_type"][:2] == ["hann", "povey"]
    assert "hop_length" not in found


def test_diff_prints_all_settings_with_the_option(artifex):
    _, out, _ = artifex("preset", "diff", "whisper", "kaldi", "--all")
    assert set(SpectralConfig().to_dict()) <= set(settings_of(out))
    assert re.search(r"^  ≠ n_fft +400 +512 ", out, re.MULTILINE)
    assert re.search(r"^    hop_length +160 +160 ", out, re.MULTILINE)


@pytest.mark.parametrize("ending", ["toml", "yaml", "json"])
def test_diff_accepts_files(artifex, tmp_path, ending):
    ours = SpectralConfig(sample_rate=16000, n_fft=400, hop_length=160, n_mels=80, pad_mode="reflect")
    path = tmp_path / f"ours.{ending}"
    path.write_text(json.dumps(ours.to_dict())) if ending == "json" else ours.to_file(path)
    found = settings_of(artifex("preset", "diff", path, "whisper")[1])
    assert set(found) == {"frame_count", "log", "level_offset", "level_scale"}


def test_diff_reports_equal_presets(artifex, fresh_registry):
    registry("preset").register("written", SpectralConfig(hop_length=512, win_length=2048, f_max=11025.0, n_mfcc=20))
    assert artifex("preset", "diff", "librosa", "written") == (0, "librosa and written are equal.\n", "")
    assert artifex("preset", "diff", "librosa", "librosa@artifex-spectral")[0] == 0


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("kaldy", None, "no preset 'kaldy' is installed. Did you mean 'kaldi'?"),
        ("ours.toml", None, "ours.toml cannot be read: No such file"),
        ("ours.toml", "n_ftt = 3", "ours.toml: SpectralConfig: unknown key 'n_ftt'. Did you mean 'n_fft'?"),
        ("ours.json", "{", "ours.json cannot be read: Expecting"),
        ("ours.json", "[]", "ours.json: SpectralConfig"),
    ],
)
def test_diff_reports_an_invalid_name_or_file(artifex, tmp_path, name, content, message):
    if content is not None:
        (tmp_path / "here" / name).write_text(content)
    code, out, err = artifex("preset", "diff", "whisper", name)
    assert (code, out) == (2, "")
    assert err.startswith(f"artifex: {message}")
    assert err.count("\n") == 1


def test_the_command_line_is_built_without_jax_and_numpy():
    code = (
        "import sys; from artifex.generative_models.core.cli import build; build(); "
        "sys.exit(bool({'jax', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
