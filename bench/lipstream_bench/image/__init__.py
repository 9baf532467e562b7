"""The container image, built by Docker or Podman, run and checked."""
