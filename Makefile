# Every target sets up what it needs itself, from a fresh clone on.
.DEFAULT_GOAL := help
SHELL := /bin/sh
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
CODE := contracts shared services tests examples
SECRETS := POSTGRES_PASSWORD RABBITMQ_PASSWORD ORDER_PASSWORD INVENTORY_PASSWORD PAYMENT_PASSWORD \
	FULFILLMENT_PASSWORD ORCHESTRATOR_PASSWORD WAREHOUSE_PASSWORD STOCK_SOURCE_PASSWORD WEBHOOK_SECRET

export PYTHONUNBUFFERED := 1
# Seven processes start at once: none of them may compile the same hundred packages again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test chaos lint format bench soak contracts up down clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.ready ## the whole system on servers of its own: orders of every kind, and what became of them
	@$(BIN)/oms demo

test: $(VENV)/.ready ## every test but the long ones (TESTS="tests/unit -k name" for some)
	@$(BIN)/pytest $(or $(TESTS),tests)

chaos: $(VENV)/.ready ## kills, stops and cuts under load, each 20 times over at least 500 orders (ROUNDS=3 for fewer)
	@WAYBILL_CHAOS_ROUNDS=$(or $(ROUNDS),20) $(BIN)/pytest -v -o faulthandler_timeout=7200 $(or $(TESTS),tests/chaos)

soak: $(VENV)/.ready ## the long versions of simulation and property tests
	@$(BIN)/pytest -o faulthandler_timeout=14400 -m soak $(or $(TESTS),tests)

lint: $(VENV)/.ready ## format, lint, types, who may import whom, generated files, commands in the documentation
	@$(BIN)/ruff format --check $(CODE)
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/mypy $(CODE)
	@$(BIN)/lint-imports
	@$(BIN)/python -m services contracts --check
	@$(BIN)/pytest -q tests/tidy

format: $(VENV)/.ready ## put every file into its format
	@$(BIN)/ruff format $(CODE)
	@$(BIN)/ruff check --fix $(CODE)

bench: $(VENV)/.ready ## one JSON line per benchmark
	@$(BIN)/oms bench

contracts: $(VENV)/.ready ## write schemas, AsyncAPI and diagrams anew from the code
	@$(BIN)/python -m services contracts

up: .env ## the services, PostgreSQL and RabbitMQ as containers
	docker compose up --build --detach --wait --wait-timeout 300
	@echo 'place orders:  set -a; . ./.env; set +a; $(BIN)/oms shop'

down: ## stop the containers; data stays (docker compose down --volumes removes it)
	docker compose down

clean: ## remove the virtual environment and every cache; running servers of ours end with their owner
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

$(VENV)/.ready: pyproject.toml uv.lock .ci/venv
	@.ci/venv

# Random passwords, each made once, readable by their owner only, never committed. An older .env keeps its lines and gets
# those it lacks: the volumes know its passwords.
.env: ALWAYS
	@umask 077; [ -e .env ] || : > .env; { \
	  random() { od -An -N18 -tx1 /dev/urandom | tr -d ' \n'; }; \
	  lacks() { ! grep -q "^$$1=" .env; }; \
	  awk 1 .env; \
	  for name in $(SECRETS); do if lacks "$$name"; then printf '%s=%s\n' "$$name" "$$(random)"; fi; done; \
	  if lacks DEMO_SHOP_PASSWORD; then \
	    shop=$$(random); printf 'DEMO_SHOP_PASSWORD=%s\n' "$$shop"; \
	    printf 'STOREFRONT_AMQP_URL=amqp://demo-shop:%s@127.0.0.1:%s/waybill\n' "$$shop" "$${WAYBILL_AMQP_PORT:-35672}"; \
	  fi; \
	} > .env.new && if cmp -s .env .env.new; then rm .env.new; else mv .env.new .env && echo 'wrote random passwords into .env'; fi
ALWAYS:
