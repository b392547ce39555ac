"""Focal loss in LightGBM, for a class that is rare, and the softmax that LightGBM has too.

Needs lightgbm and scikit-learn: pip install "fastloss[lightgbm]"
"""

import numpy as np
from lightgbm import LGBMClassifier
from sklearn.datasets import load_digits
from sklearn.metrics import average_precision_score
from sklearn.model_selection import train_test_split

from fastloss import CrossEntropyLoss, FocalLoss, log_loss
from fastloss.integrations.lightgbm import objective

X, y = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(X, y, random_state=0)
options = {"n_estimators": 40, "num_leaves": 7, "n_jobs": 1, "verbose": -1}

print("one digit against nine  focal loss  log loss  average precision")
loss = FocalLoss(gamma=2.0)
eight = y == 8
focal = objective(loss, hess_floor=1e-3)      # it is not convex
start = focal.init_score(eight)
model = LGBMClassifier(**options, objective=focal)
model.fit(X, eight, init_score=np.full(len(y), start))
plain = LGBMClassifier(**options).fit(X, eight)
for name, scores in (("log loss", plain.predict(X_test, raw_score=True)),
                     ("focal loss", start + model.predict(X_test, raw_score=True))):
    print(f"{name:22}  {loss(y_test == 8, scores):10.4f}  "
          f"{log_loss(y_test == 8, scores, from_logits=True):8.4f}  "
          f"{average_precision_score(y_test == 8, scores):17.3f}")

softmax = objective(CrossEntropyLoss(), hessian="lightgbm")
ours = LGBMClassifier(**options, objective=softmax).fit(X, y).predict(X_test, raw_score=True)
theirs = LGBMClassifier(**options, boost_from_average=False).fit(X, y).predict(
    X_test, raw_score=True)
print("ten digits: greatest difference from LightGBM's own softmax:", np.abs(ours - theirs).max())
