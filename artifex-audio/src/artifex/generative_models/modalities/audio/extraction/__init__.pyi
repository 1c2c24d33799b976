from .assignment import ShardAssignment as ShardAssignment
from .assignment import assignment_from_environment as assignment_from_environment
from .assignment import parse_assignment as parse_assignment
from .run import Extraction as Extraction
from .run import FailedRecordingsError as FailedRecordingsError
from .run import extract as extract
from .verification import Verification as Verification
from .verification import verify as verify
