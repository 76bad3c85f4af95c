"""A count says that fewer units lie on a shelf than were promised from it: a shortage to be settled."""

from typing import Annotated

from pydantic import Field

from contracts.message import Local
from contracts.values import Reference, Sku, WarehouseCode


class ShelfCameShort(Local, topic="inventory.shelf_came_short", heard_by="inventory"):
    """So many more units than before are promised from a shelf and do not lie there. `reference` names the count."""

    sku: Sku
    warehouse: WarehouseCode
    units: Annotated[int, Field(ge=1)]
    reference: Reference
