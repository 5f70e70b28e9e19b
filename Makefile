# make run    installs mosim and runs the main example: from a MuJoCo task to a policy trained only in its neural simulator
# make test   installs mosim with its test dependencies and runs the tests
# make check  checks style, types and the import rules between packages
# make leaderboard  trains models of every kind on every system, and draws how far they are off
# make gpu    on a machine with an NVIDIA GPU: runs the GPU tests and benchmarks

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: run test slow check bench bench-speed leaderboard gpu lock clean

run: $(VENV)/.installed
	$(BIN)/mosim run reacher-easy --resume

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

slow: $(VENV)/.installed-test
	$(BIN)/python -m pytest -m slow

check: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

bench: bench-speed
	$(BIN)/python benchmarks/collection.py
	$(BIN)/mosim study benchmarks/accuracy.yaml --workers 2 --results benchmarks/results/accuracy.csv --resume
	$(BIN)/mosim study benchmarks/general.yaml --workers 2 --results benchmarks/results/general.csv --resume
	$(BIN)/mosim study benchmarks/episodes.yaml --workers 2 --results benchmarks/results/episodes.csv --resume
	$(BIN)/python benchmarks/episodes.py
	$(BIN)/python benchmarks/noise.py
	$(BIN)/python benchmarks/whole_runs.py
	$(BIN)/mosim study studies/ablation.yaml --workers 2 --results benchmarks/results/ablation.csv --resume
	$(BIN)/mosim study studies/tree.yaml --workers 2 --results benchmarks/results/tree.csv --resume
	$(BIN)/python benchmarks/zero_shot.py
	$(BIN)/python benchmarks/episode_returns.py
	$(BIN)/python benchmarks/episode_lengths.py

# Every system, model, level, number of episodes and seed takes days; ONLY="cheetah-run/ seed-0" runs a part, and each run is kept.
leaderboard: $(VENV)/.installed
	$(BIN)/mosim study benchmarks/leaderboard.yaml --workers 2 --results benchmarks/results/leaderboard.csv --resume \
	  $(if $(ONLY),--only "$(ONLY)")
	$(BIN)/python benchmarks/leaderboard.py

bench-speed: $(VENV)/.installed
	$(BIN)/python benchmarks/speed.py

# Runs the GPU tests and benchmarks on a machine with an NVIDIA GPU. Checks for the GPU before it installs anything.
gpu:
	@nvidia-smi >/dev/null 2>&1 || { echo "make gpu needs an NVIDIA GPU, and nvidia-smi finds none here." >&2; exit 2; }
	@$(MAKE) --no-print-directory $(VENV)/.installed-test
	$(BIN)/python benchmarks/gpu.py

$(VENV)/.installed: pyproject.toml constraints.txt $(wildcard platform/mosim/models/mosim/*.h platform/mosim/models/mosim/*/*.[ch])
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --constraint constraints.txt --editable .
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(PIP) install --constraint constraints.txt --editable '.[test]'
	touch $@

# Resolves pyproject.toml in a temporary environment and pins the resulting versions in constraints.txt.
lock:
	rm -rf $(VENV)-lock && $(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --quiet --editable '.[test,cluster]'
	{ head -n 1 constraints.txt; $(VENV)-lock/bin/python -m pip freeze --exclude-editable \
	  | sed 's/+cpu$$//' | sort -f; } > constraints.new
	mv constraints.new constraints.txt && rm -rf $(VENV)-lock

clean:
	rm -rf $(VENV) build *.egg-info
