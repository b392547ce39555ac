.PHONY: check lint test vectorised bench

check: lint vectorised test

lint:
	ruff check .
	mypy

vectorised:
	python .ci/vectorised.py

test:
	pytest -q

bench:
	python -m bench
