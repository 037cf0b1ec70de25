"""Compiled loops: processes that meet a new source at the same time do not spoil the cache."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

KERNEL = '''
import sys
sys.path.insert(0, {project!r})
import numpy as np
from cosim.array_kernels import guvectorize

@guvectorize(["(float64[:], {kind}[:], {kind}[:])"], "(),(f)->()")
def flagged(value, flags, result):
    """Return a flag."""
    result[0] = flags[0] if value[0] > 0.0 else 0

assert flagged(np.ones(9), np.array([1, 2], dtype=np.{kind})).sum() == 9
'''


def test_a_source_that_changes_under_several_processes(tmp_path: Path) -> None:
    project = str(Path(__file__).resolve().parents[1])
    source = tmp_path / "kernel.py"
    for kind in ("int8", "int16") * 2:
        source.write_text(KERNEL.format(project=project, kind=kind))
        running = [
            subprocess.Popen([sys.executable, str(source)], stderr=subprocess.PIPE, text=True)
            for _ in range(3)
        ]
        for process in running:
            _, told = process.communicate(timeout=120)
            assert process.returncode == 0, told
