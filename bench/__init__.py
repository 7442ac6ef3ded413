"""Speed and cost of the platform, each figure beside a floor or a peer measured in the same run: `make bench`.

Machines are shared and noisy: every figure is a median of at least five, and what is judged is a ratio or a bar in the
product's own terms. `python -m bench.redeploy` runs one part; none of this is a test.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results"
sys.path.insert(0, str(ROOT / "tests" / "support"))  # the platform under test, Git host and load generator of the tests
