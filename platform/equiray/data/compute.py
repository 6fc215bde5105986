"""`pc`: pyarrow.compute for the type checker, which cannot see functions that Arrow makes while it is imported."""

from typing import Any

import pyarrow.compute

pc: Any = pyarrow.compute
