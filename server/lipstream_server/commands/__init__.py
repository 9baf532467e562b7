"""The `lipstream` commands that serve and render, each a plain function or a typer application."""

COMMANDS = {
    "render": (
        "lipstream_server.commands.render:render",
        "Render a talking video from a portrait and a recording.",
    ),
    "serve": ("lipstream_server.commands.serve:serve", "Serve talking heads over a WebSocket in real time."),
    "config": (
        "lipstream_server.commands.config:config",
        "Print the settings of a server and where each comes from.",
    ),
    "keys": ("lipstream_server.commands.keys:keys", "Add, list and remove the API keys of a server."),
    "demo": (
        "lipstream_server.commands.demo:demo",
        "Start a server and let a bundled avatar speak a bundled recording.",
    ),
}
"""Target (`module:function`) and short help of every command; the entry point group `lipstream.commands` has this mapping."""
