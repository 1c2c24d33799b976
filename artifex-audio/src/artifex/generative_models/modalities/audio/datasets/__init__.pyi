from .factory import create_audio_dataset as create_audio_dataset
from .files import AudioFileDataset as AudioFileDataset
from .synthetic import SyntheticAudioDataset as SyntheticAudioDataset
