"""Upgrade propensity: learned from the event history, measured, and scored back as a trait.

Nothing that runs in a worker imports this package. Training needs the extra ``brimful[propensity]``;
loading a model and scoring with it needs nothing beyond what a worker has (Parquet files need pyarrow).
"""
