"""The training loop: budget, resuming, the moving average, and a loss that is not finite."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lipstream_training.optimisation.checkpoint import load_state
from lipstream_training.optimisation.loop import LoopOptions, Objective, run_training
from lipstream_training.optimisation.trainer import Trainer

OPTIONS = LoopOptions(steps=6, log_every=2, validate_every=4, save_every=3)


def linear_trainer(learning_rate: float = 0.1, decay: float = 0.9) -> Trainer:
    torch.manual_seed(0)
    module = nn.Linear(3, 1)
    optimizer = torch.optim.AdamW(module.parameters(), learning_rate)
    return Trainer(module, [optimizer], lambda step: 1 / (1 + step), decay)


def regression(trainer: Trainer) -> Objective:
    def loss(step: int, seed: int) -> Tensor:
        inputs = torch.randn(8, 3)  # the loop seeds torch's generator for every step
        output: Tensor = trainer.module(inputs)
        return (output - inputs.sum(dim=1, keepdim=True)).square().mean()

    return Objective(loss, lambda averaged: {"bias": float(averaged.bias.detach())})


def run(folder: Path, options: LoopOptions, learning_rate: float = 0.1) -> Trainer:
    trainer = linear_trainer(learning_rate)
    run_training(trainer, regression(trainer), folder, "linear", options)
    return trainer


def steps_logged(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "linear.jsonl").read_text().splitlines()]


def test_loop_logs_validates_and_saves_at_its_intervals(tmp_path: Path) -> None:
    run(tmp_path, OPTIONS)
    lines = steps_logged(tmp_path)
    assert [line["step"] for line in lines] == [2, 4, 6]
    assert ["bias" in line for line in lines] == [False, True, False]
    state = load_state(tmp_path / "linear.pt")
    assert state is not None
    assert state["step"] == 6


def test_resumed_training_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    expected = run(whole, OPTIONS)
    run(parts, LoopOptions(2, 2, 4, 3))
    resumed = run(parts, OPTIONS)
    torch.testing.assert_close(resumed.module.weight, expected.module.weight, rtol=0, atol=0)
    torch.testing.assert_close(resumed.averaged.weight, expected.averaged.weight, rtol=0, atol=0)


def test_time_limit_saves_and_stops(tmp_path: Path) -> None:
    trainer = run(tmp_path, LoopOptions(6, 2, 4, 3, max_minutes=0.0))
    assert trainer.step == 1
    assert load_state(tmp_path / "linear.pt") is not None


def test_resumed_training_uses_the_learning_rate_that_it_is_given(tmp_path: Path) -> None:
    run(tmp_path, LoopOptions(2, 2, 4, 3))
    before = load_state(tmp_path / "linear.pt")
    assert before is not None
    after = run(tmp_path, LoopOptions(3, 2, 4, 3), learning_rate=0.0)
    torch.testing.assert_close(after.module.weight.detach(), before["model"]["weight"])


def test_average_follows_quickly_at_first_and_then_slowly() -> None:
    trainer = linear_trainer(decay=0.999)
    module = trainer.module
    objective = regression(trainer)
    from lipstream_training.optimisation.workers import ALONE

    for step in range(3):
        trainer.update(objective.loss(step, step), ALONE)
    before, current = trainer.averaged.weight.detach().clone(), module.weight.detach().clone()
    trainer.update(objective.loss(3, 3), ALONE)
    decay = 4 / 13  # (1 + step) / (10 + step) at step 3, far below 0.999
    torch.testing.assert_close(
        trainer.averaged.weight.detach(), decay * before + (1 - decay) * module.weight.detach()
    )
    assert not torch.equal(current, module.weight)


def test_infinite_loss_stops_the_training(tmp_path: Path) -> None:
    trainer = linear_trainer()

    def loss(step: int, seed: int) -> Tensor:
        output: Tensor = trainer.module(torch.full((1, 3), torch.inf))
        return output.sum()

    with pytest.raises(FloatingPointError, match="finite"):
        run_training(trainer, Objective(loss, lambda averaged: {}), tmp_path, "linear", OPTIONS)
    assert load_state(tmp_path / "linear.pt") is None
