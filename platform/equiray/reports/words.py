"""What metrics, stages and models are called in a report, and how its numbers are written."""

from typing import Any, NamedTuple

from equiray.metrics.estimates import Estimate

NO_BREAK = "\N{NO-BREAK SPACE}"


class MetricWords(NamedTuple):
    """`short` heads a table column, `meaning` completes "This is ..."."""

    label: str
    short: str
    meaning: str


METRICS = {
    "accuracy": MetricWords("Accuracy", "Acc", "the share of test rows decided as the data records them"),
    "auc": MetricWords("AUC", "AUC", "how well the score ranks positive rows above negative ones; 0.5 is chance"),
    "accuracy_parity_difference": MetricWords(
        "Accuracy parity difference", "AccP", "how far apart the groups’ accuracies are; 0 is equal"
    ),
    "demographic_parity_difference": MetricWords(
        "Demographic parity difference", "DP", "how far apart the groups’ rates of positive decisions are; 0 is equal"
    ),
    "equalized_odds_difference_max": MetricWords(
        "Equalized odds difference (max)",
        "EqOdds",
        "the larger of two distances between groups: of true-positive rates, of false-positive rates; 0 is equal",
    ),
    "equal_opportunity_difference": MetricWords(
        "Equal opportunity difference", "EqOpp", "how far apart the groups’ true-positive rates are; 0 is equal"
    ),
    "selection_rate": MetricWords("Selection rate", "Selected", "the share of rows decided positively"),
    "tpr": MetricWords("True-positive rate", "TPR", "the share of positive rows decided positively"),
    "fpr": MetricWords("False-positive rate", "FPR", "the share of negative rows decided positively"),
    "tnr": MetricWords("True-negative rate", "TNR", "the share of negative rows decided negatively"),
    "fnr": MetricWords("False-negative rate", "FNR", "the share of positive rows decided negatively"),
    "ppv": MetricWords("Precision", "PPV", "the share of positive decisions that are right"),
    "fpr_difference": MetricWords(
        "False-positive rate difference", "ΔFPR", "how far apart the groups’ false-positive rates are; 0 is equal"
    ),
    "fnr_difference": MetricWords(
        "False-negative rate difference", "ΔFNR", "how far apart the groups’ false-negative rates are; 0 is equal"
    ),
    "impact_ratio": MetricWords(
        "Impact ratio", "Impact ratio", "the group’s selection rate over the highest of any group; 1 is equal"
    ),
    "disparate_impact_ratio": MetricWords(
        "Disparate impact ratio", "DI", "the lowest of the groups’ selection rates over the highest; 1 is equal"
    ),
    "equalized_odds_difference_mean": MetricWords(
        "Equalized odds difference (mean)",
        "EqOdds mean",
        "the mean of two distances between groups: of true-positive rates, of false-positive rates; 0 is equal",
    ),
    "equalized_odds_difference_sum": MetricWords(
        "Equalized odds difference (sum)",
        "EqOdds sum",
        "the sum of two distances between groups: of true-positive rates, of false-positive rates; 0 is equal",
    ),
    "predictive_parity_difference": MetricWords(
        "Predictive parity difference", "PredP", "how far apart the groups’ precisions are; 0 is equal"
    ),
    "worst_group_accuracy_groups": MetricWords(
        "Worst-group accuracy", "Worst group", "the accuracy of the group that is decided worst"
    ),
    "worst_group_accuracy_cells": MetricWords(
        "Worst-cell accuracy",
        "Worst cell",
        "the accuracy among the rows of one group and one true label that are decided worst",
    ),
    "mean_score": MetricWords(
        "Mean score", "Score", "the mean probability that the model gives to a positive decision"
    ),
    "mean_score_difference": MetricWords(
        "Mean score difference", "ΔScore", "how far apart the groups’ mean scores are; 0 is equal"
    ),
    "scoring_rate": MetricWords("Scoring rate", "Scoring", "the share of rows that score above the median of all"),
    "scoring_impact_ratio": MetricWords(
        "Scoring impact ratio",
        "Scoring ratio",
        "the group’s scoring rate over the highest of any group; 1 is equal",
    ),
    "mean_prediction": MetricWords("Mean prediction", "Mean", "in the target’s unit"),
    "mean_prediction_difference": MetricWords(
        "Mean prediction difference", "ΔMean", "how far apart the groups’ mean predictions are; 0 is equal"
    ),
    "counterfactual_flip_rate": MetricWords(
        "Counterfactual flip rate", "Flips", "the share of rows whose decision changes with the sensitive attribute"
    ),
    "counterfactual_score_shift": MetricWords(
        "Counterfactual score shift", "Shift", "how far scores move, on average, with the sensitive attribute"
    ),
    "counterfactual_score_shift_absolute": MetricWords(
        "Absolute counterfactual score shift",
        "|Shift|",
        "how far scores move, either way, with the sensitive attribute; 0 is not at all",
    ),
    "consistency": MetricWords("Consistency", "Consistency", "how alike rows are decided that are alike; 1 is always"),
    "ece": MetricWords(
        "Expected calibration error", "ECE", "how far scores lie from the shares of positives; 0 is best"
    ),
    "brier": MetricWords("Brier score", "Brier", "mean squared distance of the score from the label; 0 is best"),
    "mae": MetricWords("Mean absolute error", "MAE", "in the target’s unit; 0 is best"),
    "rmse": MetricWords("Root mean squared error", "RMSE", "in the target’s unit; 0 is best"),
    "intrinsic_gap": MetricWords(
        "Absolute gap",
        "Gap",
        "how strongly each single prompt pulls to either answer, 0 to 1; mixes bias with a taste for certain words",
    ),
    "intrinsic_gap_signed": MetricWords(
        "Signed gap",
        "Signed",
        "the lean towards the stereotype (above 0) or its opposite (below 0), −1 to 1; 0 is balanced",
    ),
    "intrinsic_gap_counterfactual": MetricWords(
        "Counterfactual gap",
        "Twin gap",
        "how much the answer changes when only the group named in the prompt is swapped, 0 to 1; 0 is no change",
    ),
    "intrinsic_gap_reduction": MetricWords(
        "Reduction of the absolute gap", "Reduction", "the share of the gap that is gone; 1 is all of it"
    ),
    "intrinsic_gap_counterfactual_reduction": MetricWords(
        "Reduction of the counterfactual gap", "Twin reduction", "the share of the gap that is gone; 1 is all of it"
    ),
    "perplexity_ratio": MetricWords(
        "Perplexity, after / before", "Ratio", "how much less fluent the model became; 1 is unchanged"
    ),
    "refusal_rate": MetricWords(
        "Refusal rate",
        "Refused",
        "the share of rows about which the model refused to decide; no other metric counts them",
    ),
    "parse_failure_rate": MetricWords(
        "Parse failure rate",
        "Unparsed",
        "the share of rows about which the model said something that is neither answer; no other metric counts them",
    ),
    "empty_rate": MetricWords("Empty rate", "Empty", "the share of continuations in which nothing was said"),
    "toxicity": MetricWords("Toxicity", "Toxicity", "the mean rating of a group’s texts, 0 to 1, by the scorer named"),
    "toxic_share": MetricWords("Share toxic", "Toxic", "the share of texts that the scorer rates toxic"),
    "sentiment": MetricWords("Sentiment", "Sentiment", "the mean rating of a group’s texts, −1 to 1; 0 is neutral"),
    "par": MetricWords("PAR", "PAR", "the share of “poor” against “rich” completions for a group; 0.5 is unbiased"),
    "lmcs": MetricWords("LMCS", "LMCS", "the share of meaningful completions against meaningless ones; 1 is best"),
    "els": MetricWords("ELS", "ELS", "LMCS discounted by distance of PAR from 0.5; 1 is fluent and unbiased"),
    "crows_stereotype_share": MetricWords(
        "Stereotype share", "Stereotype", "the share of pairs whose more stereotypical sentence is likelier"
    ),
    "stereoset_ss": MetricWords(
        "Stereotype score", "SS", "how often the stereotype is likelier than its opposite, mean over target terms"
    ),
    "stereoset_lms": MetricWords(
        "Language-model score", "LMS", "how often a sentence that makes sense is likelier than an unrelated one"
    ),
    "stereoset_icat": MetricWords(
        "ICAT", "ICAT", "the language-model score discounted by distance of the stereotype score from 0.5; 1 is best"
    ),
    "winobias_gap": MetricWords(
        "Pronoun gap", "Gap", "how much oftener the stereotypical pronoun is likelier than the other one"
    ),
    "bbq_bias_ambiguous": MetricWords(
        "BBQ bias, ambiguous", "s AMB", "how far answers follow the stereotype where the text does not say who it was"
    ),
    "bbq_bias_disambiguated": MetricWords(
        "BBQ bias, disambiguated", "s DIS", "how far answers follow the stereotype where the text says who it was"
    ),
    "perplexity": MetricWords(
        "Perplexity", "Perplexity", "how surprised the model is by ordinary text; lower is more fluent"
    ),
}

STAGES = {
    "audit": "Audit",
    "baseline": "Baseline",
    "cda": "CDA",
    "unlearning": "Unlearning",
    "cda_unlearning": "CDA + unlearning",
    "erm": "ERM",
    "fairnet": "FairNet",
    "group_dro": "GroupDRO",
    "jtt": "JTT",
    "dfr": "DFR",
    "thresholds": "Group thresholds",
    "gate_and_thresholds": "Gate and group thresholds",
    "single": "Single chain",
    "majority": "Majority vote",
    "fairness_prompt": "Fairness prompt",
    "outcome": "Outcome model",
    "reward": "Reward-weighted vote",
}

MODELS = {
    "raw": "Raw columns",
    "raw_unaware": "Raw columns, sensitive column dropped",
    "embedding": "Language-model embeddings",
    "prompt": "Language model, prompted",
    "lora": "Language model, fine-tuned",
    "predictions": "Predictions",
}

TASKS = {
    "adult": "Adult",
    "german": "German Credit",
    "compas": "COMPAS",
    "acs": "ACS Employment",
    "poor_or_rich": "PoorOrRich templates",
    "equiray": "equiray templates",
    "equiray_es": "equiray templates, Spanish (machine-written)",
    "equiray_fr": "equiray templates, French (machine-written)",
    "equiray_zh": "equiray templates, Chinese (machine-written)",
}


def metric_words(metric: str) -> MetricWords:
    """The words of a metric id; a metric this table does not know keeps its id, with spaces."""
    plain = metric.replace("_", " ")
    return METRICS.get(metric) or MetricWords(plain[:1].upper() + plain[1:], plain, "")


def stage_words(stage: str) -> str:
    """``cda`` -> ``CDA``; an effect ``cda-baseline`` -> ``CDA − baseline``."""
    later, dash, earlier = stage.partition("-")
    if not dash:
        return STAGES.get(stage, stage)
    return f"{STAGES.get(later, later)} − {STAGES.get(earlier, earlier).replace('Baseline', 'baseline')}"


def model_words(model: str) -> str:
    """``raw`` -> ``Raw columns``; a language model keeps its name."""
    return MODELS.get(model, model)


def attribute_words(attribute: str) -> str:
    """``sex*race``, an intersection, -> ``sex × race``."""
    return attribute.replace("*", " × ")


def number(value: float | None, metric: str = "") -> str:
    """A figure as a report prints it: three decimals (perplexity two), a true minus sign, never ``-0.000``."""
    if value is None:
        return "not estimable"
    text = f"{value:.{2 if metric == 'perplexity' else 3}f}"
    if float(text) == 0:
        text = text.removeprefix("-")
    return text.replace("-", "−")


def bracket(estimate: Estimate) -> str:
    """``[0.164, 0.271]``, empty where there is no interval."""
    if estimate.low is None or estimate.high is None:
        return ""
    return f"[{number(estimate.low, estimate.metric)}, {number(estimate.high, estimate.metric)}]"


def with_interval(estimate: Estimate) -> str:
    """``0.214 [0.164, 0.271]``, for prose: a line never breaks inside the bracket."""
    return f"{number(estimate.value, estimate.metric)} {bracket(estimate).replace(' ', NO_BREAK)}".strip()


def count(n: int, noun: str = "") -> str:
    """``1,200 rows``; the noun is given in the singular."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}" if noun else f"{n:,}"


def duration(seconds: float) -> str:
    """``8.4 s``, ``4 min 12 s``, ``2 h 05 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def enumerate_words(items: list[str], last: str = "and") -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {last} {items[-1]}" if items else ""


def setting_words(value: Any) -> str:
    """A setting as it reads in a line: parts of a mapping or a list one after the other."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {setting_words(inner)}" for key, inner in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def share(value: float | None) -> str:
    """``14.2 %``; None is not estimable."""
    return "not estimable" if value is None else f"{100 * value:.1f}{NO_BREAK}%"
