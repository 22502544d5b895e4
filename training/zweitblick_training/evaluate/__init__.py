"""Evaluation: a bundle scored on cases that it has never seen, through the code that serves, and its card."""

from zweitblick_training.evaluate.card import Card
from zweitblick_training.evaluate.case import CaseReader, evaluate_case, network_key
from zweitblick_training.evaluate.fold import Fold
from zweitblick_training.evaluate.pictures import draw_worst, worst_cases
from zweitblick_training.evaluate.record import Asked, CaseScore, Record, Refused
from zweitblick_training.evaluate.run import EvaluationError, evaluate, merged, record_path, stored
from zweitblick_training.evaluate.subsets import ALL, SUBSETS, Subset, subset_name
from zweitblick_training.evaluate.summary import Summary, fitted, limit_ml, summary

__all__ = [
    "ALL",
    "SUBSETS",
    "Asked",
    "Card",
    "CaseReader",
    "CaseScore",
    "EvaluationError",
    "Fold",
    "Record",
    "Refused",
    "Subset",
    "Summary",
    "draw_worst",
    "evaluate",
    "evaluate_case",
    "fitted",
    "limit_ml",
    "merged",
    "network_key",
    "record_path",
    "stored",
    "subset_name",
    "summary",
    "worst_cases",
]
