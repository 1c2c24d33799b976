from .duration import trim_or_pad as trim_or_pad
from .levels import as_waveforms as as_waveforms
from .levels import normalize_audio as normalize_audio
from .levels import rms_normalize as rms_normalize
from .levels import to_float as to_float
from .resampling import convert_sample_rate as convert_sample_rate
from .resampling import resample_audio as resample_audio
