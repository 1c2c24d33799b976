"""Small audio files in every container and codec, made once per session by reference tools, and ways to damage them."""

import shutil
import struct
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import soundfile

RATE = 16000
N_SAMPLES = 6400

try:
    import imageio_ffmpeg

    FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
except (ImportError, RuntimeError):
    FFMPEG = None

PIPED = {  # command that writes the file to a pipe: it cannot correct the header at the end
    "wav": "ffmpeg -f wav -",
    "wav sox": "sox -t wav -",
    "wav float": "ffmpeg -c:a pcm_f32le -f wav -",
    "wav gsm": "sox -e gsm-full-rate -r 8000 -t wav -",
    "wav mp3": "ffmpeg -c:a libmp3lame -b:a 32k -f wav -",
    "rf64": "ffmpeg -rf64 always -f wav -",
    "w64": "ffmpeg -f w64 -",
    "aiff sox": "sox -t aiff -",
    "au": "ffmpeg -f au -",
    "au sox": "sox -t au -",
    "caf": "ffmpeg -f caf -",
    "flac": "flac --silent --stdout -",
    "ogg flac": "flac --silent --ogg --stdout -",
    "vorbis": "oggenc --quiet -o - -",
    "opus": "opusenc --quiet - -",
    "mp3 cbr": "ffmpeg -c:a libmp3lame -b:a 32k -f mp3 -",
    "mp3 vbr": "ffmpeg -c:a libmp3lame -q:a 4 -f mp3 -",
    "mp2": "ffmpeg -c:a mp2 -b:a 64k -f mp2 -",
}
FILES = {  # command that writes the file
    "wav": "ffmpeg x.wav",
    "wav u8": "ffmpeg -c:a pcm_u8 x.wav",
    "wav 24": "ffmpeg -c:a pcm_s24le x.wav",
    "wav 32": "ffmpeg -c:a pcm_s32le x.wav",
    "wav float": "ffmpeg -c:a pcm_f32le x.wav",
    "wav double": "ffmpeg -c:a pcm_f64le x.wav",
    "wav a-law": "ffmpeg -c:a pcm_alaw x.wav",
    "wav mu-law": "ffmpeg -c:a pcm_mulaw x.wav",
    "wav ms adpcm": "ffmpeg -c:a adpcm_ms x.wav",
    "wav ima adpcm": "ffmpeg -c:a adpcm_ima_wav x.wav",
    "wav gsm": "sox -e gsm-full-rate -r 8000 x.wav",
    "wav mp3": "ffmpeg -c:a libmp3lame -b:a 32k x.wav",
    "wav 6 channels": "ffmpeg -ac 6 -c:a pcm_s24le x.wav",
    "rifx": "sox -B x.wav",
    "rf64": "ffmpeg -rf64 always x.wav",
    "w64": "ffmpeg x.w64",
    "aiff": "ffmpeg x.aiff",
    "aifc": "ffmpeg -c:a pcm_f32be x.aifc",
    "au": "ffmpeg x.au",
    "au g721": "soundfile AU G721_32 x.au",
    "caf": "ffmpeg x.caf",
    "caf alac": "soundfile CAF ALAC_16 x.caf",
    "flac": "flac --silent -o x.flac",
    "vorbis": "oggenc --quiet -o x.ogg",
    "opus": "opusenc --quiet x.opus",
    "ogg flac": "flac --silent --ogg -o x.oga",
    "mp3 cbr": "lame --quiet -b 32 x.mp3",
    "mp3 vbr": "lame --quiet -V 4 x.mp3",
    "mp3 abr": "lame --quiet --abr 40 x.mp3",
    "mp3 stereo": "ffmpeg -ac 2 -ar 44100 -b:a 96k x.mp3",
    "mp2": "ffmpeg -b:a 64k x.mp2",
}


def samples(n_samples: int = N_SAMPLES, rate: int = RATE) -> np.ndarray:
    """Return a sweep with noise, which no shift maps to itself."""
    time = np.arange(n_samples) / rate
    noise = np.random.default_rng(0).standard_normal(n_samples)
    return 0.4 * np.sin(2 * np.pi * (300 * time + 1500 * time**2)) + 0.02 * noise


def missing_tool(command: str) -> str | None:
    """Return the tool of a command that is not installed."""
    tool = command.split()[0]
    if tool == "soundfile":
        return None
    return None if (FFMPEG if tool == "ffmpeg" else shutil.which(tool)) else tool


def run(command: str, source: Path, folder: Path) -> bytes:
    """Run a command on a WAV file and return the file it writes, or its standard output."""
    tool, *options = command.split()
    if tool == "soundfile":
        audio, rate = soundfile.read(source)
        soundfile.write(folder / options[2], audio, rate, format=options[0], subtype=options[1])
        return (folder / options[2]).read_bytes()
    to_file = options[-1] != "-"
    path = folder / options[-1]
    path.unlink(missing_ok=True)
    if tool == "ffmpeg":
        full = [FFMPEG, "-v", "error", "-bitexact", "-i", str(source), *options]
    elif tool == "sox":
        full = ["sox", "-D", str(source), *options]
    elif tool == "flac":
        full = ["flac", *options, str(source)] if to_file else ["flac", *options[:-1], str(source)]
    elif tool == "oggenc":
        full = ["oggenc", *options, str(source)] if to_file else ["oggenc", *options[:-1], str(source)]
    elif tool == "opusenc":
        full = ["opusenc", options[0], str(source), options[-1]]
    else:
        full = [tool, *options[:-1], str(source), options[-1]]
    output = subprocess.run(full, cwd=folder, capture_output=True, check=True, timeout=60).stdout
    return path.read_bytes() if to_file else output


def by_ffmpeg(path: Path, n_channels: int, rate: int | None = None) -> np.ndarray:
    """Decode a file with ffmpeg: float32 (time, channels)."""
    resampled = [] if rate is None else ["-ar", str(rate)]
    command = [FFMPEG, "-v", "error", "-i", str(path), *resampled, "-f", "f32le", "-c:a", "pcm_f32le", "-"]
    output = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
    return np.frombuffer(output, "<f4").reshape(-1, n_channels)


@cache
def id3v2(n_bytes: int) -> bytes:
    """Return an ID3v2 tag with a comment and padding."""
    comment = b"COMM" + (20).to_bytes(4, "big") + b"\0\0" + b"\3eng\0" + b"a plain comment"
    size = bytes(n_bytes >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x04\0\0" + size + comment.ljust(n_bytes, b"\0")


ID3V1 = b"TAG" + b"Title".ljust(124, b"\0") + b"\xff"
APE = b"APETAGEX" + struct.pack("<IIII", 2000, 32 + 15, 1, 0) + bytes(8)
APE_TAG = struct.pack("<II", 5, 0) + b"Title\0" + b"Noise"
APE_V1 = APE_TAG[:15].ljust(15, b"\0") + b"APETAGEX" + struct.pack("<IIII", 1000, 32 + 15, 1, 0) + bytes(8)
