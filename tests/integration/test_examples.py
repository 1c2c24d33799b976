"""The example of speaker-independent digits, on tones in place of words."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from artifex.generative_models.modalities.audio import write_audio

EXAMPLE = Path(__file__).parents[2] / "examples" / "spoken_digits.py"


@pytest.mark.thorough
def test_digits_of_unseen_speakers_are_recognized(artifex, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("takes").mkdir()
    for digit in range(10):
        for number, speaker in enumerate(("ann", "bob", "eve")):
            for take in range(2):
                times = np.arange(1600 + 400 * number + 100 * take) / 8000
                tone = 0.1 * (1 + number) * np.sin(2 * np.pi * (300 + 300 * digit + 10 * number) * times)
                write_audio(tmp_path / "takes" / f"{digit}_{speaker}_{take}.wav", tone, 8000)
    command = next(line for line in EXAMPLE.read_text().splitlines() if line.startswith("artifex scan"))
    words = [word.strip("'") for word in command.split()[1:]]
    code, out, err = artifex(*[str(tmp_path / "takes") if word == "FOLDER" else word for word in words])
    assert code == 0, err
    assert re.search(r"splits +test \(20\), train \(40\)|splits +train \(40\), test \(20\)", out)
    # optax relies on implicit promotion.
    environment = {**os.environ, "JAX_NUMPY_RANK_PROMOTION": "allow", "JAX_NUMPY_DTYPE_PROMOTION": "standard"}
    words = [sys.executable, str(EXAMPLE), "digits.jsonl", "features"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    found = re.fullmatch(r"(\d+)% of 20 digits are right\n", done.stdout)
    assert found, done.stdout
    assert int(found[1]) >= 90
