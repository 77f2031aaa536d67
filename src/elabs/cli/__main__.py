"""`python -m elabs.cli`, which the `elabs` script runs."""

from elabs.cli.main import main

if __name__ == "__main__":
    main()
