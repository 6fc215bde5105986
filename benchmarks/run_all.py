"""Run every benchmark, or one, each in a process of its own.

python benchmarks/run_all.py                       # all
python benchmarks/run_all.py --only embed_vs_gemm  # one
python benchmarks/run_all.py --quick               # a look at each, not a result
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
NO_BENCHMARK = {
    "harness",
    "run_all",
    "rows",
    "acs_questions",
    "decisions",
    "guarded_server",
    "load",
    "served_bundle",
    "fairlearn_rates",
    "step_scoring",
    "sweep_race",
}
PARTS = "coverage_*.py"  # of one benchmark
MEASURED_IN = {  # ids that are not their file's name
    "fairnet_vs_two_pass": "fairnet_vs_base",
    "guard_overhead_p50_ms": "guard_overhead",
    "guard_overhead_p99_ms": "guard_overhead",
    "metrics_vs_fairlearn_strings": "metrics_vs_fairlearn",
    "parquet_1e8_peak": "parquet_1e8",
}


def main(argv: list[str] | None = None) -> int:
    """Exit code 0 if all benchmarks ran, 3 for an unknown id, else 1."""
    parser = argparse.ArgumentParser(description="Run every benchmark, or one.")
    parser.add_argument("--only", metavar="ID", default=os.environ.get("ONLY"), help="default: ONLY in the environment")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(argv)
    known = sorted({path.stem for path in {*HERE.glob("*.py")} - {*HERE.glob(PARTS)}} - NO_BENCHMARK)
    only = MEASURED_IN.get(options.only, options.only)
    if only and only not in known:
        print(f"no benchmark is called {only!r}; there are: {', '.join((*known, *MEASURED_IN))}", file=sys.stderr)
        return 3
    failed = []
    for name in [only] if only else known:
        print(f"== {name}", flush=True)
        command = [sys.executable, str(HERE / f"{name}.py"), *(["--quick"] if options.quick else [])]
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
