"""An objective that XGBoost lacks: expectiles of the progress of diabetes.

Needs xgboost and scikit-learn: pip install "fastloss[xgboost]"
"""

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split
from xgboost import XGBRegressor

from fastloss import ExpectileLoss
from fastloss.integrations.xgboost import metric, objective

X, y = load_diabetes(return_X_y=True)
X, X_test, y, y_test = train_test_split(X, y, random_state=0)
X, X_stop, y, y_stop = train_test_split(X, y, random_state=0)
options = {"n_estimators": 300, "learning_rate": 0.1, "max_depth": 3, "n_jobs": 1,
           "early_stopping_rounds": 10}

squares = XGBRegressor(**options).fit(X, y, eval_set=[(X_stop, y_stop)], verbose=False)
theirs = squares.predict(X_test)

print("expectile  trees  held-out loss  that of squared error  labels below the prediction")
for level in (0.1, 0.5, 0.9):
    loss = ExpectileLoss(level=level)
    expectile = objective(loss)
    model = XGBRegressor(**options, objective=expectile, base_score=expectile.init_score(y),
                         eval_metric=metric(loss))
    model.fit(X, y, eval_set=[(X_stop, y_stop)], verbose=False)
    ours = model.predict(X_test)
    print(f"{level:9}  {model.best_iteration + 1:5}  {loss(y_test, ours):13.0f}"
          f"  {loss(y_test, theirs):21.0f}  {np.mean(y_test < ours):27.0%}")
