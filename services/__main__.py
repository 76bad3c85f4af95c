"""The composition root and the command line: the only file that knows every service.

`oms` and `python -m services` are the same.
"""

import asyncio
import gc
import importlib
import importlib.util
import os
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Final, cast

import typer
from pydantic import ValidationError
from typer.core import TyperGroup

from shared import topology
from shared.topology import SERVICES

if TYPE_CHECKING:
    from shared.service import Service

ELSEWHERE: Final = {
    "demo": "services.sandbox.demo_command:app",
    "shop": "services.sandbox.shop:shop_app",
    "seed": "services.sandbox.shop:seed_app",
    "order": "services.ops.order:app",
    "route": "services.inventory.desk:app",
    "queues": "services.ops.queues:app",
    "parked": "services.ops.parked:app",
    "sagas": "services.ops.sagas:app",
    "stock": "services.ops.stock:app",
    "feed": "services.ops.feed:app",
    "ledger": "services.ops.ledger:app",
    "reconcile": "services.payment.settlement.desk:app",
    "statement": "services.payment.banking.desk:app",
    "maintain": "services.ops.maintain:app",
    "contracts": "services.documents:app",
    "bench": "services.sandbox.bench:app",
}
"""Commands of other modules, imported when asked for: a service's process holds only what it runs."""


class Lazily(TyperGroup):
    """The commands of this file, and those of `ELSEWHERE` as if they were here."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), *(name for name in ELSEWHERE if _is_there(name))]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in ELSEWHERE or not _is_there(cmd_name):
            return super().get_command(ctx, cmd_name)
        module, _, variable = ELSEWHERE[cmd_name].partition(":")
        command = typer.main.get_command(getattr(importlib.import_module(module), variable))
        command.name = cmd_name
        return command


def _is_there(command: str) -> bool:
    return importlib.util.find_spec(ELSEWHERE[command].partition(":")[0]) is not None


app = typer.Typer(
    name="oms",
    help="Waybill: order management over RabbitMQ and PostgreSQL.",
    cls=Lazily,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def build(name: str) -> "Service":
    """Imported when asked for, so that a process holds only what it runs."""
    module = importlib.import_module(f"services.{name}.main")
    try:
        return cast("Callable[[], Service]", module.build)()
    except ValidationError as invalid:
        raise typer.BadParameter(_settings_problem(name, invalid)) from None


def _settings_problem(name: str, invalid: ValidationError) -> str:
    """Which variables are missing or wrong, by the names an operator sets."""
    told = []
    for error in invalid.errors(include_url=False):
        variable = f"{name}_{error['loc'][0]}".upper() if error["loc"] else name  # several together make no sense
        told.append(f"to be set: {variable}" if error["type"] == "missing" else f"{variable}: {error['msg']}")
    return "; ".join(told)


@app.command()
def run(
    names: Annotated[
        list[str], typer.Argument(help="order, inventory, payment, fulfillment, orchestrator, world; or all")
    ],
    log_level: Annotated[str, typer.Option(help="DEBUG, INFO, WARNING or ERROR")] = "INFO",
    with_owner: Annotated[
        bool, typer.Option("--with-owner", help="End when standard input closes.", hidden=True)
    ] = False,
) -> None:
    """Run services until SIGTERM or Ctrl-C, then drain (at most 30 s).

    Each reads its own ORDER_DATABASE_URL, ORDER_AMQP_URL and so on.
    """
    import uvloop

    from shared.observability import configure_logging

    configure_logging(log_level)
    wanted = [*SERVICES, *(["world"] if "world" in names else [])] if "all" in names else names
    unknown = [name for name in wanted if name not in SERVICES and name != "world"]
    if unknown:
        raise typer.BadParameter(
            f"no service is called {', '.join(unknown)}; there are {', '.join(SERVICES)}, world, all"
        )
    if "world" in wanted and not os.environ.get("WAREHOUSE_AMQP_URL"):
        raise typer.BadParameter("to be set: WAREHOUSE_AMQP_URL")
    raise typer.Exit(uvloop.run(_run(wanted, with_owner)))


@app.command()
def migrate() -> None:
    """Create or upgrade schemas, database roles, and the broker's topology and users; safe to repeat.

    Reads DATABASE_URL (owner), AMQP_URL with MANAGEMENT_URL (administrator), and a password per user: ORDER_PASSWORD,
    INVENTORY_PASSWORD, PAYMENT_PASSWORD, FULFILLMENT_PASSWORD, ORCHESTRATOR_PASSWORD, WAREHOUSE_PASSWORD,
    STOCK_SOURCE_PASSWORD, DEMO_SHOP_PASSWORD.
    """
    from services.sandbox.environment import provision
    from services.sandbox.servers import ServersUnavailable

    try:
        provision(os.environ)
    except ServersUnavailable as missing:
        raise typer.BadParameter(str(missing)) from None
    typer.echo(f"migrated: {', '.join(SERVICES)}")
    typer.echo(f"broker provisioned: users {', '.join(topology.users())}")


async def _run(names: list[str], with_owner: bool) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    if with_owner:
        loop.add_reader(sys.stdin.fileno(), stop.set)  # nothing is ever written there: readable means closed
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    world = None
    if "world" in names:
        from services.sandbox.world import run_world

        world = asyncio.create_task(run_world(stop))
    running = [build(name) for name in names if name in SERVICES]
    starting = asyncio.create_task(_start_all(running))
    stopped = asyncio.create_task(stop.wait())
    broken = [asyncio.create_task(service.stopping.wait()) for service in running]
    await asyncio.wait([starting, stopped], return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
    elif starting.exception() is not None:
        starting.result()
    _collect_less_often()
    await asyncio.wait([stopped, *broken, *([world] if world else [])], return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    await asyncio.gather(starting, return_exceptions=True)
    await asyncio.gather(*(service.stop() for service in running))
    if world is not None:
        await world
    return 1 if any(service.broken for service in running) else 0


def _collect_less_often() -> None:
    """What was made at the start stays: looking through it again and again for garbage was a tenth of all CPU time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


async def _start_all(services: "list[Service]") -> None:
    await asyncio.gather(*(service.start() for service in services))


def main() -> None:
    app()


if __name__ == "__main__":
    main()
