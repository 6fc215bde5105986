"""Two gateways on one PostgreSQL, with a shadow: the same log, the same promises."""

from collections.abc import Iterator

import psycopg
import pytest

from bundles_made import equiray
from postgres import KILL_ALL, Postgres
from served import Server, running, small_bundle, until
from served_load import Load

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
LITTLE = {"least": 1, "most": 1, "cpus": 0.25}


@pytest.fixture(scope="module")
def server(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("postgres")
    bundle = small_bundle(folder)
    assert equiray("bundle", folder / "run", "--pick", "seed0", "--out", folder / "next") == 0
    audit = {
        "store": postgres.new_database(),
        "secrets": str(folder / "secrets"),
        "checkpoints": str(folder / "checkpoints"),
    }
    gateways = LITTLE | {"least": 2, "most": 2}
    changes = {"audit": audit, "shadow": str(folder / "next"), "gateway": gateways, "decider": LITTLE}
    with running(bundle, folder, **changes) as started:
        assert len(started.pids("gateway")) == 2
        yield started


def test_connections_are_cut_under_load(server: Server):
    with psycopg.connect(server.audit["store"], autocommit=True) as connection, Load(server) as load:
        for _ in range(5):
            connection.execute(KILL_ALL)
            load.more(10)
    load.check()


def test_kill_9_of_both_gateways_under_load(server: Server):
    before = set(server.pids("gateway"))
    with Load(server) as load:
        server.kill_9("gateway")
        until(lambda: len(set(server.pids("gateway")) - before) == 2, "two others run", 180)
        server.wait_until_ready(180)
        load.more(20)
    load.check()


def test_postgres_stops_at_once_and_starts_again(server: Server, postgres: Postgres):
    with Load(server) as load:
        postgres.stop("immediate")
        try:
            until(lambda: load.refused[503] >= 1, "requests are refused")
        finally:
            postgres.start()
        load.more(20)
    load.check()


def test_the_shadow_is_compared_on_what_both_decided(server: Server, capsys: pytest.CaptureFixture[str]):
    """The same training under another name: nothing is worse, and few rows of one kind prove it for accuracy alone."""
    code = equiray("promote", server.config)
    said = capsys.readouterr().out
    assert "next@" in said and "(shadow) against bundle@" in said and "rows of people that both decided" in said
    assert code in (0, 2) and ("PROMOTE" if code == 0 else "INCONCLUSIVE") in said
    assert server.verify().problems == ()
