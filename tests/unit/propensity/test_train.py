"""Training on a history whose true propensity is known: found again, calibrated, or refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from tests.unit.propensity.kit import PERIOD_MS, generated, spec
from workers.cli.main import cli
from workers.errors import Misconfigured
from workers.propensity import model as models
from workers.propensity import report as reports
from workers.propensity.features import HIGHEST_USAGE
from workers.propensity.history import read_history
from workers.propensity.measure import auc, measure
from workers.propensity.sources import read_files
from workers.propensity.table import cuts_of, rows_at
from workers.propensity.train import Trained, train

if TYPE_CHECKING:
    from pathlib import Path

    from workers.propensity.history import History

BY_INVITES = (7, 260, 20, 1.3, 0.8)
BY_USAGE_ALONE = (8, 160, 14, 0.0, 5.0)


def read(folder: Path, recipe: tuple[int, int, int, float, float]) -> tuple[Path, History]:
    """A generated history as a file, and read."""
    file = folder / f"{recipe[0]}.ndjson"
    file.write_text(generated(*recipe)[0])
    return file, read_history(read_files([file]), "account")


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, History, Trained]:
    """One training for all tests that look at it."""
    file, history = read(tmp_path_factory.mktemp("history"), BY_INVITES)
    cuts = cuts_of(history, PERIOD_MS, PERIOD_MS)
    return file, history, train(history, spec(), cuts=cuts, holdout_share=0.35)


def test_the_true_propensity_is_found_again(learned: tuple[Path, History, Trained]) -> None:
    """On the held-out cuts: near the best AUC that anybody could have, and far above the baseline."""
    _, history, trained = learned
    truth = generated(*BY_INVITES)[1]
    report = trained.report
    rows = rows_at(history, report.holdout_cuts_ms, trained.model.spec)
    labels = np.array([row.label for row in rows], dtype=np.int64)
    best = auc(labels, np.array([truth[row.subject, row.cut_ms] for row in rows]))
    held = report.holdout
    assert held.rows == len(rows)
    assert held.model.auc.value > best - 0.03
    assert held.model.auc.low <= held.model.auc.value <= held.model.auc.high
    assert report.unseen.model.auc.value > best - 0.03
    assert held.gain.low > 0.05
    assert report.refused is None


def test_probabilities_are_calibrated(learned: tuple[Path, History, Trained]) -> None:
    """In all within a quarter of what happened, in the top tenth within a third, near the truth each."""
    _, history, trained = learned
    held = trained.report.holdout
    assert held.model.expected == pytest.approx(held.positives, rel=0.25)
    top = held.bins[0]
    assert top.predicted == pytest.approx(top.observed, rel=0.34)
    assert [one.predicted for one in held.bins] == sorted((one.predicted for one in held.bins), reverse=True)
    truth = generated(*BY_INVITES)[1]
    rows = rows_at(history, trained.report.holdout_cuts_ms, trained.model.spec)
    errors = [abs(trained.model.probability(row.features) - truth[row.subject, row.cut_ms]) for row in rows]
    assert np.mean(errors) < 0.05


def test_reasons_name_what_made_the_score(learned: tuple[Path, History, Trained]) -> None:
    """Of the accounts that score highest, inviting is a reason, upwards; of the lowest, downwards."""
    _, history, trained = learned
    rows = rows_at(history, trained.report.holdout_cuts_ms, trained.model.spec)
    ranked = sorted(rows, key=lambda row: trained.model.probability(row.features))
    for row, direction in ((ranked[-1], "up"), (ranked[0], "down")):
        reasons = trained.model.reasons(row.features)
        assert len(reasons) == 3
        assert any(
            reason.direction == direction and reason.value == row.features.get(reason.feature)
            for reason in reasons
        )
    assert any(name.startswith("event.invite_sent") for name, _ in trained.report.weights[:3]) or any(
        name == "events_28d" for name, _ in trained.report.weights[:3]
    )


def test_reasons_add_up_to_the_score(learned: tuple[Path, History, Trained]) -> None:
    """All of them, with the intercept, are the logit."""
    _, history, trained = learned
    row = rows_at(history, trained.report.holdout_cuts_ms[:1], trained.model.spec)[0]
    reasons = trained.model.reasons(row.features, limit=1_000)
    total = trained.model.intercept + sum(reason.weight for reason in reasons)
    assert total == pytest.approx(trained.model.logit(row.features), abs=0.02)


def test_a_model_that_does_not_beat_the_baseline_is_refused(tmp_path: Path) -> None:
    """Usage alone decides here: the command says so with figures, exits 1, and leaves the old model."""
    file, _ = read(tmp_path, BY_USAGE_ALONE)
    out = tmp_path / "model"
    out.mkdir()
    (out / "model.json").write_text("the old one")
    options = ["--events", str(file), "--out", str(out), "--step", "14d"]
    result = CliRunner().invoke(cli, ["propensity", "train", *options])
    assert result.exit_code == 1, result.output
    assert "REFUSED: its AUC of 0." in result.output
    assert "95 % interval" in result.output
    assert (out / "model.json").read_text() == "the old one"
    assert json.loads((out / "report.json").read_bytes())["refused"].startswith("its AUC")


def test_too_little_to_learn_from_is_said(tmp_path: Path) -> None:
    """With how much there is, and how much is needed."""
    _, history = read(tmp_path, (9, 10, 10, 1.0, 0.0))
    with pytest.raises(Misconfigured, match="20 of each are needed"):
        train(history, spec(), cuts=cuts_of(history, PERIOD_MS, PERIOD_MS), holdout_share=0.35)
    with pytest.raises(Misconfigured, match="the history is too short: 0 cut"):
        train(history, spec(), cuts=[], holdout_share=0.35)


def test_training_again_gives_the_same_model(tmp_path: Path) -> None:
    """Nothing in it is left to chance."""
    _, history = read(tmp_path, BY_USAGE_ALONE)
    cuts = cuts_of(history, PERIOD_MS, PERIOD_MS)
    one, two = (train(history, spec(), cuts=cuts, holdout_share=0.35) for _ in range(2))
    assert one == two
    assert one.model.id() == two.model.id()


def test_a_model_is_read_back_as_it_was(learned: tuple[Path, History, Trained], tmp_path: Path) -> None:
    """JSON of numbers; something else in its place is refused by name."""
    trained = learned[2]
    models.save(trained.model, tmp_path)
    assert models.load(tmp_path) == trained.model
    (tmp_path / "model.json").write_text('{"v": 2}')
    with pytest.raises(Misconfigured, match=r"model.json: .*train the model anew"):
        models.load(tmp_path)
    with pytest.raises(Misconfigured, match="`brimful propensity train` writes it"):
        models.load(tmp_path / "nowhere")


def test_the_baseline_is_usage_over_limit(learned: tuple[Path, History, Trained]) -> None:
    """Its AUC is that of the highest usage ratio, as it is."""
    _, history, trained = learned
    rows = rows_at(history, trained.report.holdout_cuts_ms, trained.model.spec)
    labels = np.array([row.label for row in rows], dtype=np.int64)
    usage = np.array([float(row.features[HIGHEST_USAGE]) for row in rows])
    assert trained.report.holdout.baseline.auc.value == pytest.approx(auc(labels, usage), abs=1e-4)


def test_auc_is_that_of_scikit_learn() -> None:
    """Ties included."""
    chance = np.random.default_rng(1)
    labels, scores = chance.integers(0, 2, 300), chance.integers(0, 9, 300) / 10
    assert auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores))


def test_intervals_draw_subjects_not_rows() -> None:
    """The same rows ten times over say nothing new: the interval stays as wide."""
    chance = np.random.default_rng(2)
    labels = chance.integers(0, 2, 60)
    scores = np.clip(labels * 0.2 + chance.random(60) * 0.8, 0.01, 0.99)
    names = [f"s{number}" for number in range(60)]
    once = measure(labels, scores, scores, names, 0.5, 0).model.auc
    often = measure(
        np.tile(labels, 10), np.tile(scores, 10), np.tile(scores, 10), names * 10, 0.5, 0
    ).model.auc
    assert often.high - often.low == pytest.approx(once.high - once.low, abs=0.01)


def test_isotonic_calibration_goes_through_its_knots() -> None:
    """Straight lines between them, level beyond."""
    curve = models.Isotonic([-1.0, 0.0, 2.0], [0.1, 0.3, 0.5])
    assert [curve(at) for at in (-9, -1, -0.5, 0, 1, 2, 9)] == pytest.approx(
        [0.1, 0.1, 0.2, 0.3, 0.4, 0.5, 0.5]
    )


def test_the_report_is_text_and_json(learned: tuple[Path, History, Trained], tmp_path: Path) -> None:
    """The same figures both ways."""
    trained = learned[2]
    (tmp_path / "report.json").write_bytes(msgspec.json.encode(trained.report))
    shown = CliRunner().invoke(cli, ["propensity", "report", "--model", str(tmp_path)])
    assert shown.output == reports.text(trained.report)
    assert "tenth   rows   predicted   observed   lift" in shown.output
    as_json = CliRunner().invoke(cli, ["propensity", "report", "--model", str(tmp_path), "--json"])
    assert json.loads(as_json.output)["holdout"]["gain"]["low"] == trained.report.holdout.gain.low
