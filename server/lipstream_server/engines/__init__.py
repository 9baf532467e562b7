"""What a server may run behind `lipstream_server.engines.base`: the model, in a process of its own, and a stub."""
