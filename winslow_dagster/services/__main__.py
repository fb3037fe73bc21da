"""`python -m winslow_dagster.services`: the supervisor as a process of its own."""

from winslow_dagster.services.supervisor import Supervisor
from winslow_dagster.settings import Settings

if __name__ == "__main__":
    Supervisor(Settings.read()).serve()
