"""`python -m lipstream_client` is the `lipstream` command."""

from .cli import main

if __name__ == "__main__":
    main()
