"""Georeferencing of local metres: a tangent plane, WGS84 and UTM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.arrays import Floats

if TYPE_CHECKING:
    # Imported where it is used: every stage reads reference points or the ground, and few of them are in degrees.
    from pyproj import CRS, Transformer

WGS84_EPSG = 4326
# UTM is not defined beyond.
MIN_UTM_LATITUDE_DEG, MAX_UTM_LATITUDE_DEG = -80.0, 84.0
ZONE_DEG = 6
ZONES = 60


@dataclass(frozen=True, slots=True)
class Plane:
    """Metres east (x) and north (y) of a WGS84 position: transverse Mercator with scale 1 there.

    Lengths and speeds are therefore true; UTM's are off by up to 0.04 %.
    """

    latitude_deg: float
    longitude_deg: float

    @property
    def utm_epsg(self) -> int:
        """The EPSG code of its UTM zone (WGS84)."""
        zone = int((self.longitude_deg + 180) // ZONE_DEG) % ZONES + 1
        return (32600 if self.latitude_deg >= 0 else 32700) + zone

    def metres(self, degrees: Floats) -> Floats:
        """N x 2 latitudes and longitudes to metres."""
        x, y = self._from_wgs84(self._crs).transform(degrees[:, 1], degrees[:, 0])
        return np.column_stack([x, y])

    def degrees(self, metres: Floats) -> Floats:
        """N x 2 metres to latitudes and longitudes."""
        from pyproj import Transformer

        back = Transformer.from_crs(self._crs, WGS84_EPSG, always_xy=True)
        longitude, latitude = back.transform(metres[:, 0], metres[:, 1])
        return np.column_stack([latitude, longitude])

    def utm(self, metres: Floats) -> Floats:
        """N x 2 metres of the plane to metres east and north in UTM."""
        from pyproj import CRS

        degrees = self.degrees(metres)
        east, north = self._from_wgs84(CRS.from_epsg(self.utm_epsg)).transform(degrees[:, 1], degrees[:, 0])
        return np.column_stack([east, north])

    def as_json(self) -> dict[str, Any]:
        """For `ground.json`."""
        return {"latitude_deg": self.latitude_deg, "longitude_deg": self.longitude_deg, "utm_epsg": self.utm_epsg}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Plane:
        """From `ground.json`; the zone follows from the position."""
        return cls(data["latitude_deg"], data["longitude_deg"])

    @property
    def _crs(self) -> CRS:
        from pyproj import CRS

        return CRS.from_proj4(
            f"+proj=tmerc +lat_0={self.latitude_deg} +lon_0={self.longitude_deg} +k=1 +ellps=WGS84 +units=m"
        )

    @staticmethod
    def _from_wgs84(crs: CRS) -> Transformer:
        from pyproj import Transformer

        return Transformer.from_crs(WGS84_EPSG, crs, always_xy=True)
