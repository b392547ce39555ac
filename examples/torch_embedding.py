"""A network in torch that learns an embedding of digits with a loss of fastloss.

Run with: python examples/torch_embedding.py
"""

import torch
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

import fastloss as fl
from fastloss.integrations.torch import Criterion

torch.manual_seed(0)
pixels, digits = load_digits(return_X_y=True)
x, y = torch.tensor(pixels / 16, dtype=torch.float32), torch.tensor(digits)
train, held_out = slice(0, 1200), slice(1200, None)

network = torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 8))
criterion = Criterion(fl.SupConLoss(temperature=0.2), learn=["temperature"])
optimizer = torch.optim.Adam([*network.parameters(), *criterion.parameters()], lr=3e-3)


def recall():
    """Return the part of the held-out images whose nearest training image is the same digit."""
    with torch.no_grad():
        rows = torch.nn.functional.normalize(network(x)).numpy()
    nearest = KNeighborsClassifier(1).fit(rows[train], digits[train])
    return nearest.score(rows[held_out], digits[held_out])


print(f"recall@1 before training {recall():.3f}")
for epoch in range(20):
    for rows in torch.randperm(1200).split(240):
        optimizer.zero_grad()
        value = criterion(network(x[rows]), y[rows])
        value.backward()
        optimizer.step()
    if epoch % 5 == 4:
        print(f"epoch {epoch + 1:2}: loss {value.item():.3f}, "
              f"temperature {criterion.temperature.item():.3f}, recall@1 {recall():.3f}")
