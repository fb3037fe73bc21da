"""Where on earth the metres are: a plane that touches it, WGS84 and UTM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pyproj import CRS, Transformer

from tracker.arrays import Floats

WGS84_EPSG = 4326
# Beyond, UTM is not defined.
MIN_UTM_LATITUDE_DEG, MAX_UTM_LATITUDE_DEG = -80.0, 84.0
ZONE_DEG = 6
ZONES = 60


@dataclass(frozen=True, slots=True)
class Plane:
    """Metres east (x) and north (y) of a place in WGS84: transverse Mercator with scale 1 there.

    So lengths and speeds are true; UTM's are up to 0.04 % off.
    """

    latitude_deg: float
    longitude_deg: float

    @property
    def utm_epsg(self) -> int:
        """The EPSG code of the UTM zone (WGS84) in which it lies."""
        zone = int((self.longitude_deg + 180) // ZONE_DEG) % ZONES + 1
        return (32600 if self.latitude_deg >= 0 else 32700) + zone

    def metres(self, degrees: Floats) -> Floats:
        """N x 2 metres of n x 2 latitudes and longitudes."""
        x, y = self._from_wgs84(self._crs).transform(degrees[:, 1], degrees[:, 0])
        return np.column_stack([x, y])

    def degrees(self, metres: Floats) -> Floats:
        """N x 2 latitudes and longitudes of n x 2 metres."""
        back = Transformer.from_crs(self._crs, WGS84_EPSG, always_xy=True)
        longitude, latitude = back.transform(metres[:, 0], metres[:, 1])
        return np.column_stack([latitude, longitude])

    def utm(self, metres: Floats) -> Floats:
        """N x 2 metres east and north in UTM of n x 2 metres of the plane."""
        degrees = self.degrees(metres)
        east, north = self._from_wgs84(CRS.from_epsg(self.utm_epsg)).transform(degrees[:, 1], degrees[:, 0])
        return np.column_stack([east, north])

    def as_json(self) -> dict[str, Any]:
        """For `ground.json`."""
        return {"latitude_deg": self.latitude_deg, "longitude_deg": self.longitude_deg, "utm_epsg": self.utm_epsg}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Plane:
        """Back from `ground.json`; the zone follows from the place."""
        return cls(data["latitude_deg"], data["longitude_deg"])

    @property
    def _crs(self) -> CRS:
        return CRS.from_proj4(
            f"+proj=tmerc +lat_0={self.latitude_deg} +lon_0={self.longitude_deg} +k=1 +ellps=WGS84 +units=m"
        )

    @staticmethod
    def _from_wgs84(crs: CRS) -> Transformer:
        return Transformer.from_crs(WGS84_EPSG, crs, always_xy=True)
