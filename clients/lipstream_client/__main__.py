"""`python -m lipstream_client` is the `lipstream` command."""

from .command import main

if __name__ == "__main__":
    main()
