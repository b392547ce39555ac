"""Record linkage: a booster learns a distance of pairs of records with the contrastive loss.

The records are scikit-learn's images of digits. A pair is linked if both show the same digit; what
the booster sees of it is how much the two images differ, pixel by pixel. Its score is a distance,
pulled to 0 for linked pairs and pushed out to the margin for the others. Images of the test
pairs are in no training pair.

Needs xgboost and scikit-learn: pip install "fastloss[xgboost]"
"""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from xgboost import XGBRegressor

from fastloss import ContrastiveLoss
from fastloss.integrations.xgboost import objective

images, digit = load_digits(return_X_y=True)
rng = np.random.default_rng(0)


def pairs(records, n):
    """Return features and links of n pairs of these records, of which about half are linked."""
    order = np.array(sorted(records, key=lambda record: digit[record]))
    count = np.bincount(digit[order])
    first = np.concatenate([[0], count.cumsum()[:-1]])
    a, b = rng.choice(records, (2, n))
    same = order[first[digit[a]] + rng.integers(0, count[digit[a]])]
    b = np.where(rng.random(n) < 0.45, same, b)
    return np.abs(images[a] - images[b]), (digit[a] == digit[b]).astype(float)


records = rng.permutation(len(digit))
X, linked = pairs(records[:900], 20000)
X_test, linked_test = pairs(records[900:], 10000)

# linked pairs may stay 0.25 apart, others belong 1 apart
loss = ContrastiveLoss(margin=1.0, pos_margin=0.25)
contrastive = objective(loss)
model = XGBRegressor(n_estimators=300, max_depth=6, learning_rate=0.2, n_jobs=1,
                     objective=contrastive, base_score=contrastive.init_score(linked))
distance = model.fit(X, linked).predict(X_test)
pixels = np.sqrt((X_test**2).sum(axis=1))

print("distance         contrastive loss  AUC    linked, of pairs nearer than 0.625")
constant = np.full(len(linked_test), contrastive.init_score(linked))
print(f"constant         {loss(linked_test, constant):16.3f}  0.500")
print(f"of the pixels    {'':16}  {roc_auc_score(linked_test, -pixels):.3f}")
print(f"of the booster   {loss(linked_test, distance):16.3f}  "
      f"{roc_auc_score(linked_test, -distance):.3f}  {linked_test[distance < 0.625].mean():.1%}")
