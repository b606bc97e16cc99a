# The ways to work with relance; `make help` lists them. Each target sets up what it needs, from pinned locks, the first
# time and whenever the lock has changed. Pins collide (SAM, the emulator and the layer want different versions of the
# same libraries), hence separate environments.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

export SAM_CLI_TELEMETRY := 0
# The matrices of encoder and learner are small: threads that wait for each other take longer than the work.
export OPENBLAS_NUM_THREADS := 1

# The first Python 3.13 that really runs: version managers leave commands on the path that do not.
PYTHON := $(shell for candidate in python3.13 "$$HOME"/.pyenv/versions/3.13*/bin/python3.13 python3 python; do \
	"$$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, 13))' >/dev/null 2>&1 \
	&& { echo "$$candidate"; break; }; done)

# An environment is ready when its stamp exists; the stamp's name holds the lock and the place of this folder.
stamp = $(1)/.ready-$(shell (cat requirements/$(2).txt; echo "$(CURDIR)") | cksum | cut -d ' ' -f 1)
DEV := $(call stamp,.venv,dev)
SAM := $(call stamp,.venv-sam,sam)
MINISTACK := $(call stamp,.venv-ministack,ministack)
RUNTIME := $(call stamp,.venv-runtime,runtime)
SECURITY := $(call stamp,.venv-security,security)
LEARN := $(call stamp,.venv-learn,learn)
FUZZ_ENV := $(call stamp,.venv-fuzz,fuzz)

define environment
	@test -n "$(PYTHON)" || { echo "relance needs Python 3.13: install it, or put python3.13 on the PATH." >&2; exit 1; }
	@echo "── $(1): installing requirements/$(2).txt"
	@rm -rf $(1)
	@$(PYTHON) -m venv $(1)
	@$(1)/bin/python -m pip install --disable-pip-version-check --no-deps --requirement requirements/$(2).txt
endef

# ─── Every day ────────────────────────────────────────────────────────────────────────────────────────────────────────

.PHONY: help
help: ## List the targets
	@echo "make TARGET, where TARGET is one of"
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  %-9s %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: $(DEV) ## A fortnight of conversations on this machine: who is written to, who is not, and why
	@.venv/bin/relance demo $(DEMO)

.PHONY: test
test: $(DEV) ## Unit, contract and journey tests, crashes, histories, bad input and load: minutes
	@.venv/bin/python -m pytest --numprocesses auto --dist loadfile $(TESTS)

.PHONY: crash
crash: $(DEV) ## Every crash point, all pairs of crashes, thousands of histories: an hour
	RELANCE_LONG=1 .venv/bin/python -m pytest -s tests/crash tests/histories $(TESTS)

.PHONY: fuzz
fuzz: $(FUZZ_ENV) ## Bad input for every door, following coverage: FUZZ="whatsapp bot_file --seconds 600"
	.venv-fuzz/bin/python -m tests.fuzz.coverage $(FUZZ)

.PHONY: load
load: $(DEV) ## A day of thousands of webhooks while AWS and Meta refuse a share of everything: half an hour
	RELANCE_LONG=1 .venv/bin/python -m pytest -s tests/load $(TESTS)

.PHONY: lint
lint: $(DEV) $(SAM) ## Style of the code, and the template
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv-sam/bin/sam validate --lint

.PHONY: bench
bench: $(DEV) ## How long the guards take for one message and one conversation, on one core
	@.venv/bin/python -m local.bench

.PHONY: learn
learn: $(LEARN) ## Weigh the guard's evidence anew after a change of local/corpus: a quarter of an hour
	@PYTHONPATH="$(CURDIR):$(CURDIR)/layers/relance" .venv-learn/bin/python -m local.learn

# checkov's waivers stand beside each resource as comments; S311 is waived in pyproject.toml, with its reason. The audit
# comes last: where no advisory service answers it says SKIPPED, and that has to be the last word.
.PHONY: security
security: $(SECURITY) ## Template, code, secrets and pinned libraries; says SKIPPED if no advisory service answers
	.venv-security/bin/cfn-lint template.yaml
	.venv-security/bin/checkov --file template.yaml --framework cloudformation --compact --quiet --skip-download
	.venv-security/bin/ruff check --no-cache --select S --ignore S311 functions layers local
	@.venv-security/bin/python local/security.py secrets
	@.venv-security/bin/python local/security.py dependencies

.PHONY: format
format: $(DEV) ## Put the code into its style
	.venv/bin/ruff check --fix
	.venv/bin/ruff format

# ─── The deployment ───────────────────────────────────────────────────────────────────────────────────────────────────

.PHONY: validate
validate: $(SAM) ## The template alone
	.venv-sam/bin/sam validate --lint

# SAM's environment goes first on the path, so that the layers find a python3.13 that works. A numpy for another platform
# (layers/encoder/Makefile) goes past SAM's cache, which would hand it to the next deployment.
.PHONY: build
build: $(SAM) ## Build the functions and layers into .aws-sam/build, without Docker
	PATH="$(CURDIR)/.venv-sam/bin:$$PATH" .venv-sam/bin/sam build \
		$(if $(filter undefined,$(origin RELANCE_ENCODER_PLATFORM)),,--no-cached)

.PHONY: deploy
deploy: build ## Deploy to the AWS account of your credentials; asks before it changes anything
	.venv-sam/bin/sam deploy $(DEPLOY)

.PHONY: e2e
e2e: $(DEV) $(SAM) $(MINISTACK) $(RUNTIME) ## The built artifact, the deployment rehearsed, the store on a second engine
	RELANCE_ENGINES=ministack .venv/bin/python -m pytest tests/built tests/e2e tests/contract $(TESTS)

# ─── Housekeeping ─────────────────────────────────────────────────────────────────────────────────────────────────────

.PHONY: clean
clean: ## Remove environments, builds and caches
	rm -rf .venv .venv-sam .venv-ministack .venv-runtime .venv-security .venv-learn .venv-fuzz .fuzz .aws-sam .rehearsal .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

.PHONY: lock
lock: ## Pin anew what requirements/*.in ask for
	@test -n "$(PYTHON)" || { echo "relance needs Python 3.13." >&2; exit 1; }
	@scratch=$$(mktemp -d); trap 'rm -rf "$$scratch"' EXIT; for name in dev sam ministack runtime security learn; do \
		echo "── $$name"; $(PYTHON) -m venv "$$scratch/$$name"; \
		"$$scratch/$$name/bin/python" -m pip install --requirement requirements/$$name.in; \
		{ echo "# Pinned completely by \`make lock\` from $$name.in; do not edit."; \
		  "$$scratch/$$name/bin/python" -m pip freeze; } > requirements/$$name.txt; done

# The repository and the layer's source are put on the path by a .pth file, and the command is a script of four lines:
# installing them as packages would need a build step and would find neither functions/ nor template.yaml.
$(DEV):
	$(call environment,.venv,dev)
	@printf '%s\n' "$(CURDIR)" "$(CURDIR)/layers/relance" \
		> "$$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/relance.pth"
	@printf '%s\n' '#!$(CURDIR)/.venv/bin/python' 'import sys' 'from local.cli import app' 'sys.exit(app())' \
		> .venv/bin/relance
	@chmod +x .venv/bin/relance
	@touch $@

$(SAM):
	$(call environment,.venv-sam,sam)
	@touch $@

$(MINISTACK):
	$(call environment,.venv-ministack,ministack)
	@touch $@

$(RUNTIME):
	$(call environment,.venv-runtime,runtime)
	@touch $@

$(SECURITY):
	$(call environment,.venv-security,security)
	@touch $@

$(LEARN):
	$(call environment,.venv-learn,learn)
	@touch $@

$(FUZZ_ENV):
	$(call environment,.venv-fuzz,fuzz)
	@printf '%s\n' "$(CURDIR)" "$(CURDIR)/layers/relance" \
		> "$$(.venv-fuzz/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/relance.pth"
	@touch $@
