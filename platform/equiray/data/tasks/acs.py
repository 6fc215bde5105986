"""ACS Employment, 2018: is a person employed?

Two sources with the same columns. The mirror holds rows prepared for ACSMobility (ages 19 to 34), in which two codes
differ from the Census Bureau's: RAC1P counts from 0, and MIG only says stayed (1) or moved (0). Without it, folktables
downloads the official person file of one state, all ages; that needs the folktables package and the network.
"""

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from equiray.data.columns import as_text
from equiray.data.compute import pc
from equiray.data.reading import read_parquet
from equiray.data.sources import MIRROR_VARIABLE, DataFile, Found, cache_folder, file_sha256, locate
from equiray.data.tasks.raw import RawTable
from equiray.errors import BadInput

VALIDATION = DataFile(
    name="ACSMobility.validation.parquet",
    mirror_folder="acs",
    sha256=("4e8e4df59de78d38795cb0e802026be59d8e9a16c80da63ae7200d1c7a824f0b",),
)
TEST = DataFile(
    name="ACSMobility.test.parquet",
    mirror_folder="acs",
    sha256=("58514229d757ed36387669a68eb34afa637b0df5d4dd2fbe2577219cac95a662",),
)
FEATURES = (
    "AGEP",
    "SCHL",
    "MAR",
    "RELP",
    "DIS",
    "ESP",
    "CIT",
    "MIG",
    "MIL",
    "ANC",
    "NATIVITY",
    "DEAR",
    "DEYE",
    "DREM",
    "SEX",
    "RAC1P",
)
STATE = "CA"  # the state that folktables' own examples load
_MIRROR_WARNING = (
    "These rows were prepared for ACSMobility: people aged 19 to 34 only, and MIG says stayed or moved, no more. "
    "Results hold for young adults, not for ACS Employment as published."
)
_STATE_WARNING = f"These rows are the people of one state ({STATE}), all ages, children included, as in ACSEmployment."


def read(folder: Path | None, download: bool) -> RawTable | None:
    """The 16 features and the column `employed`, in the Census Bureau's codes, 0 for "not applicable"."""
    found = locate([(VALIDATION, TEST)], folder=folder, download=False)
    if found is not None:
        return _from_mirror(found)
    return _from_folktables() if download else None


def _from_mirror(found: Found) -> RawTable:
    wanted = [*FEATURES, "ESR", "index"]
    table = pa.concat_tables([read_parquet(path, wanted) for path in found.paths])
    codes = {name: _codes(table[name], name) for name in FEATURES}
    race = pc.add(table["RAC1P"].combine_chunks(), 1)
    codes["RAC1P"] = _codes(pa.chunked_array([race]), "RAC1P")
    codes["MIG"] = pc.if_else(pc.equal(codes["MIG"], "1"), "1", "2 or 3")
    return RawTable(
        table=pa.table({**codes, "employed": _employed(table["ESR"])}),
        row_ids=np.asarray(table["index"], dtype=np.int64),  # the row's number in the table both files were cut from
        place=str(found.paths[0].parent),
        sha256=found.sha256,
        origin=found.origin,
        warnings=(_MIRROR_WARNING,),
    )


def _from_folktables() -> RawTable:
    cache = cache_folder() / "acs"
    frame = _download(cache)
    columns = {name: pa.chunked_array([pa.array(frame[name], from_pandas=True)]) for name in (*FEATURES, "ESR")}
    table = pa.table({name: _codes(columns[name], name) for name in FEATURES})
    table = table.append_column("employed", _employed(columns["ESR"]))
    path = next((cache / "2018" / "1-Year").glob("psam_p*.csv"))
    sha256 = file_sha256(path)
    return RawTable.numbered(table, place=str(path), sha256=sha256, origin="folktables", warnings=(_STATE_WARNING,))


def _download(cache: Path) -> Any:
    """The person file of `STATE` as the data frame that folktables makes of it."""
    instead = f"set {MIRROR_VARIABLE} to a folder with acs/{VALIDATION.name} and acs/{TEST.name}"
    try:
        from folktables import ACSDataSource  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise BadInput(
            "task 'acs' needs the package folktables or mirrored rows, and finds neither",
            place="task acs",
            fix=f"pip install folktables (on a machine with network), or {instead}",
        ) from error
    source = ACSDataSource(survey_year="2018", horizon="1-Year", survey="person", root_dir=str(cache))
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # folktables prints its progress
            return source.get_data(states=[STATE], download=True)
    except Exception as error:  # network, zip and file errors of many types: all mean "no rows"
        raise BadInput(
            f"folktables could not load the ACS person file of {STATE}: {str(error).splitlines()[0]:.200}",
            place=str(cache),
            fix=f"check the network, delete that folder and try again, or {instead}",
        ) from error


def _codes(column: pa.ChunkedArray, name: str) -> pa.Array:
    return pc.fill_null(as_text(column, name, "task acs"), "0")


def _employed(esr: pa.ChunkedArray) -> pa.Array:
    return pc.if_else(pc.equal(pc.fill_null(esr.combine_chunks().cast(pa.float64()), 0.0), 1.0), "1", "0")
