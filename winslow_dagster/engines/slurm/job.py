"""What a job executes: `python -m winslow_dagster.engines.slurm.job`. It runs the agent.

Many a stage is shorter than what Python needs to start and to take itself apart.
"""

from __future__ import annotations

import gc
import os


def main() -> None:
    """Run the agent and end this process."""
    # Imports leave no garbage, and looking for it takes a tenth of their time. The agent enables it again.
    gc.disable()
    # To look for plugins, pydantic reads the descriptions of all installed packages: a twentieth of the imports.
    os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"
    from winslow_dagster.engines.slurm import agent

    os._exit(agent.main())


if __name__ == "__main__":
    main()
