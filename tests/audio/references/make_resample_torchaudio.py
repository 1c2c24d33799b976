"""Write the results of torchaudio's resampling for each quality that torchaudio has parameters for.

Run ``python tests/audio/references/make_resample_torchaudio.py``, which requires torch and torchaudio, to rewrite
``resample_torchaudio.npz`` in this folder. The stored file was made by torchaudio 2.11.0 (torch 2.13.0, CPU) in float64. It
contains float32 arrays named ``"orig_sr target_sr quality"``; ``clip`` returns their inputs.
"""

from pathlib import Path

import numpy as np

STORED = Path(__file__).with_name("resample_torchaudio.npz")
# For the last, a table of filters would have too many taps.
RATES = ((44100, 16000), (16000, 44100), (48000, 16000), (16000, 22050), (4001, 4000))
KAISER = {"resampling_method": "sinc_interp_kaiser"}
PARAMETERS = {
    "hann": {"lowpass_filter_width": 6, "rolloff": 0.99, "resampling_method": "sinc_interp_hann"},
    "kaiser_fast": {"lowpass_filter_width": 16, "rolloff": 0.85, "beta": 8.555504641634386, **KAISER},
    "kaiser_best": {"lowpass_filter_width": 64, "rolloff": 0.9475937167399596, "beta": 14.769656459379492, **KAISER},
    "own": {"lowpass_filter_width": 9, "rolloff": 0.7, "beta": 5.0, **KAISER},
}


def clip(orig: int) -> np.ndarray:
    """Return noise up to full scale for a sample rate."""
    return np.random.default_rng(orig).uniform(-1, 1, 600)


def main() -> None:
    """Write the file."""
    import torch
    from torchaudio.functional import resample

    arrays = {
        f"{orig} {target} {name}": resample(torch.from_numpy(clip(orig)), orig, target, **parameters).float().numpy()
        for orig, target in RATES
        for name, parameters in PARAMETERS.items()
    }
    np.savez_compressed(STORED, **arrays)
    print(f"{STORED}: {len(arrays)} clips, {STORED.stat().st_size} bytes")


if __name__ == "__main__":
    main()
