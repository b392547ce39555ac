.PHONY: check lint test vectorised levels bench

check: lint vectorised levels test

lint:
	ruff check .
	cython-lint fastloss
	mypy

vectorised:
	python .ci/vectorised.py

levels:
	python .ci/levels.py

test:
	pytest -q

bench:
	python -m bench
