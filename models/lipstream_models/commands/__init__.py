"""The `lipstream` commands that work on models, each a plain function."""

COMMANDS = {
    "convert": (
        "lipstream_models.commands.convert:convert_command",
        "Convert Hallo's weights to safetensors in half precision.",
    ),
    "analyse": (
        "lipstream_models.commands.analyse:analyse_command",
        "Plot features and attention over the sampling steps of a clip.",
    ),
    "tune": (
        "lipstream_models.commands.tune:tune_command",
        "Search a sampling plan for a model within a budget.",
    ),
    "evaluate": (
        "lipstream_models.commands.evaluate:evaluate_command",
        "Measure time and fidelity of presets on a folder of videos.",
    ),
    "plan": ("lipstream_models.commands.plan:plan_command", "Print how a preset samples, and its FLOPs."),
}
"""Target (`module:function`) and short help of every command; the entry point group `lipstream.commands` has this mapping."""
