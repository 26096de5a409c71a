"""`python -m coverage_audit` is `coverage-audit`."""

from coverage_audit.cli.main import main

if __name__ == "__main__":
    main()
