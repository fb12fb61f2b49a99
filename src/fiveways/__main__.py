"""`python -m fiveways`."""

from fiveways.cli import main

if __name__ == "__main__":
    main()
