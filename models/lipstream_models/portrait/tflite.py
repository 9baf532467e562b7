"""A small network in LiteRT (TensorFlow Lite) format, run on the CPU."""

from __future__ import annotations

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from .region import Floats


class Network:
    """One interpreter: float32 arrays in and out. Not for use by several threads at once."""

    def __init__(self, content: bytes, threads: int = 1) -> None:
        self._interpreter = Interpreter(model_content=content, num_threads=threads)
        self._interpreter.allocate_tensors()
        self._input = int(self._interpreter.get_input_details()[0]["index"])
        self._outputs = [int(detail["index"]) for detail in self._interpreter.get_output_details()]

    def run(self, values: Floats) -> list[Floats]:
        """Outputs in the model's order; copies, so they outlive the next call."""
        self._interpreter.set_tensor(self._input, np.ascontiguousarray(values, np.float32))
        self._interpreter.invoke()
        return [np.asarray(self._interpreter.get_tensor(index)) for index in self._outputs]
