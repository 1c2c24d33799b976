from .composition import balanced as balanced
from .composition import concat as concat
from .composition import filter as filter  # noqa: A004  the name of Grain
from .composition import map as map  # noqa: A004  the name of Grain
from .composition import mix as mix
from .composition import repeat as repeat
from .composition import split as split
from .composition import subset as subset
from .composition import take as take
from .device_batching import DeviceBatches as DeviceBatches
from .device_batching import device_batches as device_batches
from .factory import create_audio_dataset as create_audio_dataset
from .features import FeatureDataset as FeatureDataset
from .files import AudioFileDataset as AudioFileDataset
from .loader import Loader as Loader
from .loader import LoaderError as LoaderError
from .loader import Progress as Progress
from .loader import make_loader as make_loader
from .manifests import ManifestFormat as ManifestFormat
from .manifests import ManifestRow as ManifestRow
from .manifests import Recording as Recording
from .manifests import assign_splits as assign_splits
from .manifests import find_recordings as find_recordings
from .manifests import read_manifest as read_manifest
from .manifests import write_manifest as write_manifest
from .scanning import ScanResult as ScanResult
from .synthetic import SyntheticAudioDataset as SyntheticAudioDataset
from .tables import TableAudioDataset as TableAudioDataset
