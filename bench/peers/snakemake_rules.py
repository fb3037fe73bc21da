"""Nine stages in a row with Snakemake, called in this process."""

import sys
import time
from pathlib import Path

from snakemake.cli import main

IMAGE, STAGES, CPUS = sys.argv[1], int(sys.argv[2]), sys.argv[3]

rules = [f"rule all:\n    input: 's{STAGES - 1}'\n"]
for number in range(STAGES):
    before = f"    input: 's{number - 1}'\n" if number else ""
    rules.append(
        f"rule stage{number}:\n{before}    output: touch('s{number}')\n"
        f"    shell: 'docker run --rm --cpus {CPUS} {IMAGE} true'\n"
    )
Path("Snakefile").write_text("\n".join(rules))
began = time.perf_counter()
try:
    main(["--cores", "1", "--quiet", "all"])
except SystemExit as ended:
    if ended.code:
        raise
took_s = time.perf_counter() - began
assert Path(f"s{STAGES - 1}").exists()
print(took_s)
