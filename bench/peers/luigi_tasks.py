"""Nine stages in a row with Luigi, with its scheduler in the same process."""

import subprocess
import sys
import time

import luigi

IMAGE, STAGES, CPUS = sys.argv[1], int(sys.argv[2]), sys.argv[3]


class Stage(luigi.Task):
    """One stage; what it leaves is an empty file."""

    number = luigi.IntParameter()

    def requires(self):  # noqa: ANN201  # Luigi's own
        return [Stage(self.number - 1)] if self.number else []

    def output(self):  # noqa: ANN201
        return luigi.LocalTarget(f"s{self.number}")

    def run(self) -> None:
        subprocess.run(["docker", "run", "--rm", "--cpus", CPUS, IMAGE, "true"], check=True)
        with self.output().open("w"):
            pass


began = time.perf_counter()
assert luigi.build([Stage(STAGES - 1)], local_scheduler=True, log_level="WARNING")
print(time.perf_counter() - began)
