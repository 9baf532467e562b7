"""`python -m lipstream_client`, where the `lipstream` script is not on the path."""

from .command import main

main()
