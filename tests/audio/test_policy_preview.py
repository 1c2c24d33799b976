"""``artifex augment``: its files, output and errors."""

import json

import jax
import numpy as np
import pytest
import soundfile

from artifex.generative_models.modalities.audio import create_policy, describe

POLICY = """
[[steps]]
name = "time_shift"
max_shift = 200
mode = "fill"

[[steps]]
name = "random_gain"
gain_range = [2.0, 3.0]
probability = 0.5

[[steps]]
name = "peaking"
gain_db_range = [0.0, 0.0]
"""


@pytest.fixture
def stereo(tmp_path):
    file = tmp_path / "stereo.wav"
    wave = 0.6 * np.sin(2 * np.pi * 440 * np.arange(4000) / 8000)
    soundfile.write(file, np.stack([wave, 0.5 * wave], axis=1), 8000, subtype="FLOAT")
    return file


def test_each_draw_is_written_with_its_figure_and_drawn_parameters(artifex, stereo, tmp_path):
    (tmp_path / "policy.toml").write_text(POLICY)
    code, out, err = artifex("augment", stereo, "--policy", tmp_path / "policy.toml", "--draws", 3, "--seed", 4)
    assert (code, err) == (0, "")
    made = tmp_path / "augmented"
    names = [f"stereo.draw-{draw}.{kind}" for draw in (1, 2, 3) for kind in ("png", "wav")]
    assert sorted(path.name for path in made.iterdir()) == [*names, "stereo.draws.json"]
    table = json.loads((made / "stereo.draws.json").read_text())
    given, rate = soundfile.read(stereo, dtype="float32")
    assert (table["sample_rate"], table["seed"], table["source"]) == (rate, 4, str(stereo))
    assert table["policy"]["steps"][2]["sample_rate"] == rate
    policy = create_policy(table["policy"])
    gains = []
    for draw, row in enumerate(table["draws"], start=1):
        key = jax.random.fold_in(jax.random.key(4), draw)
        assert row["parameters"] == describe(policy, key, (2, 4000))
        shift, gained, _ = row["parameters"]["steps"]
        gains.append(gained.get("gain", 1.0))
        expected = np.roll(np.pad(given.T, ((0, 0), (4000, 4000))), shift["shift"], axis=1)[:, 4000:8000] * gains[-1]
        written, _ = soundfile.read(made / row["audio"], dtype="float32")
        np.testing.assert_allclose(written.T, expected, atol=1e-6)  # beyond full scale too
        assert f"shift {shift['shift']}" in out
        assert (made / row["picture"]).read_bytes().startswith(b"\x89PNG")
    assert len(set(gains)) > 1
    assert artifex("augment", stereo, "--policy", tmp_path / "policy.toml")[0] == 2
    assert artifex("augment", stereo, "--policy", "reverse", "--draws", 1, "--overwrite")[0] == 0


def test_errors_are_one_line_and_nothing_is_written(artifex, stereo, tmp_path):
    (tmp_path / "broken.toml").write_text("[[steps")
    nan = tmp_path / "nan.wav"
    soundfile.write(nan, np.full(100, np.nan, np.float32), 8000, subtype="FLOAT")
    (tmp_path / "file").touch()
    for code, arguments, message in (
        (1, [tmp_path / "none.wav"], "no such file"),
        (1, [nan], "nan.wav"),
        (2, [stereo, "--policy", "revers"], "reverse"),
        (2, [stereo, "--policy", tmp_path / "broken.toml"], "cannot be parsed"),
        (2, [stereo, "--policy", tmp_path / "none.toml"], "cannot be read"),
        (2, [stereo, "--policy", "time_mask"], "must augment waveforms, got time_mask"),
        (2, [stereo, "--draws", 0], "draws"),
        (2, [stereo, "--out", "file", "--overwrite"], "file cannot be created: File exists"),
        (2, [stereo, "--out", "file/x"], "file/x cannot be created: Not a directory"),
    ):
        exit_code, _, err = artifex("augment", *arguments)
        assert (exit_code, message in err, err.count("\n")) == (code, True, 1), err
    assert {path.name for path in tmp_path.iterdir()} == {"broken.toml", "file", "nan.wav", "stereo.wav"}
