from .errors import LoaderError as LoaderError
from .loader import Loader as Loader
from .loader import Progress as Progress
from .loader import make_loader as make_loader
from .plan import IndexedDataset as IndexedDataset
