"""The Muon optimiser orthogonalises its updates and trains convolutions."""

import torch
from torch import nn

from lipstream_training.optimisation.muon import Muon, muon_and_adamw, orthogonalise


def test_orthogonalised_matrices_have_singular_values_near_one() -> None:
    matrices = torch.randn(3, 16, 40, generator=torch.Generator().manual_seed(0))
    singular = torch.linalg.svdvals(orthogonalise(matrices))
    assert singular.min() > 0.6
    assert singular.max() < 1.3
    transposed = orthogonalise(matrices.transpose(1, 2)).transpose(1, 2)
    torch.testing.assert_close(transposed, orthogonalise(matrices), atol=1e-4, rtol=1e-4)


def test_muon_fits_a_convolution() -> None:
    torch.manual_seed(0)
    target, learner = nn.Conv2d(4, 8, 3), nn.Conv2d(4, 8, 3)
    optimizers = muon_and_adamw(learner, 0.02, (), 0.0)
    assert isinstance(optimizers[0], Muon)
    images = torch.randn(16, 4, 8, 8)
    wanted = target(images).detach()
    losses = []
    for _ in range(60):
        loss = (learner(images) - wanted).square().mean()
        learner.zero_grad()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.05 * losses[0]
