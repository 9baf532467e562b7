"""The Dockerfile, followed without an engine: `python -m lipstream_bench.image`. As root, on Linux, with debootstrap."""
