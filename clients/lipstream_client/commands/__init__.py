"""The `lipstream` commands of a client, each a plain function or a typer application."""

COMMANDS = {
    "stream": (
        "lipstream_client.commands.stream:stream",
        "Stream a recording or a microphone through a server, into a file or a player.",
    ),
    "avatars": ("lipstream_client.commands.avatars:avatars", "Add, list and remove the avatars of a server."),
    "clips": (
        "lipstream_client.commands.clips:clips",
        "Create, watch, download, list and remove clips of a server.",
    ),
    "bench-stream": (
        "lipstream_client.commands.bench_stream:bench_stream",
        "Run several streams at once and report latency, frame rate and repeated frames.",
    ),
}
"""Target (`module:function`) and short help of every command; the entry point group `lipstream.commands` has this mapping."""
