"""What a run leaves behind: tables, key figures, manifest and digest.

:class:`RunRecorder` writes a run folder, :class:`MemoryRecorder` keeps the inputs of the key
figures only; both come to the same figures by the same path.
"""

from cosim.record.folder import new_run_folder
from cosim.record.recorder import MemoryRecorder, RunRecorder, RunSummary
from cosim.record.tables import TABLES, check_tables

__all__ = [
    "TABLES",
    "MemoryRecorder",
    "RunRecorder",
    "RunSummary",
    "check_tables",
    "new_run_folder",
]
