"""WINSLOW_* settings, read once: what the control plane needs (`Settings`) and what a node needs (`NodeSettings`)."""

from winslow_dagster.settings.access import ROLES, AccessSettings, Role
from winslow_dagster.settings.cluster import SlurmSettings
from winslow_dagster.settings.installation import ANY_ADDRESS, Settings
from winslow_dagster.settings.node import NodeSettings
from winslow_dagster.settings.queue import QueueSettings, ShareBy
from winslow_dagster.settings.variables import NODE_TAG

__all__ = [
    "ANY_ADDRESS",
    "NODE_TAG",
    "ROLES",
    "AccessSettings",
    "NodeSettings",
    "QueueSettings",
    "Role",
    "Settings",
    "ShareBy",
    "SlurmSettings",
]
