"""Counting on Ray: the bits that this process counts, with one worker and with two."""

import pyarrow.parquet as pq
import pytest

from counting_cases import COLUMNS, LAYOUT, rows, table
from equiray.data.prediction_files import PredictionFile, open_files, spans
from equiray.errors import BadInput
from equiray.metrics.counting import Counts, count_files
from equiray.metrics.counting.stream import counts_of
from equiray.streaming.counting import blocks_on_ray

pytestmark = pytest.mark.usefixtures("ray_cluster")


def count_on_ray(files: list[PredictionFile], workers: int) -> Counts:
    arriving = blocks_on_ray(spans(files, 20), LAYOUT, COLUMNS, workers=workers)
    origins = {file.sha256: [file.path] for file in files}
    return counts_of((block for blocks in arriving for block in blocks), LAYOUT, origins, model="m")


def test_one_and_two_workers_count_what_this_process_counts(tmp_path):
    for seed in (1, 2):
        data = table(rows(300, seed, digits=None))
        pq.write_table(data, tmp_path / f"{seed}.parquet", row_group_size=45)
    files = open_files([str(tmp_path / f"{seed}.parquet") for seed in (1, 2)], COLUMNS.wanted(LAYOUT))
    here = count_files(files, LAYOUT, COLUMNS, model="m", rows_per_block=20, threads=1)
    assert here.rows == 600 and len(here.blocks) == 40
    for workers in (1, 2):
        found = count_on_ray(files, workers)
        assert found.sha256 == here.sha256 and found.origins == here.origins
        for one, two in zip(found.tables(order=2), here.tables(order=2), strict=True):
            assert one.groups == two.groups
            for part in ("mass", "scores", "score_sums"):
                for a, b in zip(getattr(one, part), getattr(two, part), strict=True):
                    assert a is b or a.tobytes() == b.tobytes()


def test_a_bad_value_reaches_the_caller_as_it_is(tmp_path):
    frame = rows(60, 1)
    frame.loc[44, "w"] = -1.0
    pq.write_table(table(frame), tmp_path / "x.parquet")
    files = open_files([str(tmp_path / "x.parquet")], COLUMNS.wanted(LAYOUT))
    with pytest.raises(BadInput, match="weight -1 is negative") as error:
        count_on_ray(files, workers=1)
    assert error.value.place == f"{tmp_path / 'x.parquet'}, column 'w', row 45"
