"""LiteRT (TensorFlow Lite) models on the CPU."""

from __future__ import annotations

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from .region import Floats


class TfliteModel:
    """One interpreter with float32 input and outputs. Not safe for use by several threads at once."""

    def __init__(self, content: bytes, threads: int = 1) -> None:
        """Load a model.

        Args:
            content: The bytes of a .tflite file.
            threads: CPU threads of the interpreter.
        """
        self._interpreter = Interpreter(model_content=content, num_threads=threads)
        self._interpreter.allocate_tensors()
        self._input = int(self._interpreter.get_input_details()[0]["index"])
        self._outputs = [int(detail["index"]) for detail in self._interpreter.get_output_details()]

    def run(self, values: Floats) -> list[Floats]:
        """Run the model on its input, whose shape the file fixes.

        Returns:
            The outputs in the model's order, copied, so that they outlive the next call.
        """
        self._interpreter.set_tensor(self._input, np.ascontiguousarray(values, np.float32))
        self._interpreter.invoke()
        return [np.asarray(self._interpreter.get_tensor(index)) for index in self._outputs]
