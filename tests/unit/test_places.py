"""Where a customer is, how far a warehouse is, and what of both may be said at all."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from contracts.inventory import DescribeWarehouse
from contracts.values import Destination, ShippingAddress
from services.inventory.domain import Warehouse
from services.inventory.routing.cheapest import rate_at, to_minor
from services.inventory.routing.places import distance_km, locate
from services.orchestrator.checkout import Checkout
from tests.support.checkouts import a_checkout

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("country", "city", "region", "known_by"),
    [
        ("PL", "Gdańsk", "", "Gdańsk, PL"),
        ("PL", "GDANSK", "", "Gdańsk, PL"),
        ("DE", "Cologne", "", "Köln, DE"),
        ("JP", "東京", "", "Tokyo, JP"),
        ("US", "St. Louis", "", "St. Louis, US"),
        ("GB", "London", "", "London, GB"),
        ("CA", "London", "", "London, CA"),
        ("FR", "Saint-Rien-du-Tout", "", "Paris, the largest city of FR"),
        ("FR", "", "", "Paris, the largest city of FR"),
        ("FR", "***", "", "Paris, the largest city of FR"),
    ],
)
def test_a_city_is_found_by_any_of_its_names_and_else_its_country(
    country: str, city: str, region: str, known_by: str
) -> None:
    place = locate(Destination(country=country, city=city, region=region))
    assert place is not None and place.known_by == known_by


def test_of_several_cities_with_one_name_the_region_says_which() -> None:
    found = {
        region: locate(Destination(country="US", city="Springfield", region=region))
        for region in ("IL", "Illinois", "MA", "")
    }
    assert all(found.values())
    assert found["IL"] == found["Illinois"] != found["MA"]


def test_coordinates_are_taken_as_they_are_and_nothing_is_nowhere() -> None:
    given = locate(Destination(country="FR", city="Paris", latitude=1.5, longitude=-2.5))
    assert given is not None and (given.latitude, given.longitude, given.known_by) == (1.5, -2.5, "coordinates")
    assert locate(Destination(country="XX", city="Paris")) is None
    assert locate(None) is None


@pytest.mark.parametrize(
    ("here", "there", "km"),
    [
        ((0.0, 0.0), (0.0, 0.0), 0),
        ((51.5074, -0.1278), (48.8566, 2.3522), 344),  # London, Paris
        ((0.0, 0.0), (0.0, 180.0), 20_016),
        ((90.0, 0.0), (-90.0, 0.0), 20_016),
        ((0.0, 179.5), (0.0, -179.5), 112),
    ],
)
def test_distances_are_great_circles_in_whole_kilometres_rounded_up(
    here: tuple[float, float], there: tuple[float, float], km: int
) -> None:
    assert distance_km(*here, *there) == distance_km(*there, *here) == km


def test_a_band_holds_up_to_its_distance_and_the_last_one_beyond() -> None:
    warehouse = Warehouse("w", "W", 1, bands=[[100, 5], [500, 9]])
    assert [rate_at(warehouse, km) for km in (0, 100, 101, 500, 501, None)] == [5, 5, 9, 9, 9, 9]
    assert rate_at(Warehouse("w", "W", 1), 10) == 0


def test_costs_are_rounded_half_up_once() -> None:
    assert [to_minor(thousandths) for thousandths in (0, 499, 500, 1_499, 1_500)] == [0, 0, 1, 1, 2]


@pytest.mark.parametrize(
    "wrong",
    [
        {"latitude": 1.0},
        {"longitude": 1.0},
        {"latitude": 90.1, "longitude": 0.0},
        {"latitude": 0.0, "longitude": -180.1},
        {"latitude": float("nan"), "longitude": 0.0},
        {"bands": [{"up_to_km": 500, "minor_per_kg": 1}, {"up_to_km": 100, "minor_per_kg": 2}]},
        {"bands": [{"up_to_km": 500, "minor_per_kg": 1}, {"up_to_km": 500, "minor_per_kg": 2}]},
        {"bands": [{"up_to_km": 0, "minor_per_kg": 1}]},
        {"bands": [{"up_to_km": 20_101, "minor_per_kg": 1}]},
        {"bands": [{"up_to_km": 500, "minor_per_kg": -1}]},
        {"bands": [{"up_to_km": km, "minor_per_kg": 1} for km in range(1, 22)]},
        {"shipment_minor": -1},
        {"daily_shipments": -1},
    ],
)
def test_what_a_warehouse_cannot_be_is_not_read(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        DescribeWarehouse.model_validate({"warehouse": "w", "priority": 1, "as_of": NOW, **wrong})


@pytest.mark.parametrize("wrong", [{"latitude": 1.0}, {"latitude": 91.0, "longitude": 0.0}])
def test_an_address_is_on_the_map_or_has_no_coordinates(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ShippingAddress.model_validate({"name": "Ada", "line1": "1 Row", "city": "London", "country": "GB", **wrong})


def test_inventory_is_told_where_an_order_goes_and_others_hear_no_coordinates() -> None:
    request = a_checkout("cart", {"tea": 1}).model_dump(mode="json")
    request["shipping_address"] |= {"latitude": 51.5, "longitude": -0.1, "region": "ENG"}
    asked_for = {
        "order_id": str(UUID(int=1)),
        "storefront": "shop",
        "hold_for_s": 900,
        "checkout": request,
        "run_id": "r",
    }
    state = Checkout(asked_for, {"picks": []})
    to = Destination(country="GB", region="ENG", city="London", postal_code="W1", latitude=51.5, longitude=-0.1)
    assert state.hold_stock().ship_to == state.commit_stock().ship_to == to
    assert "latitude" not in state.place_order().model_dump()["shipping_address"]
    assert "latitude" not in state.shipping_address()
