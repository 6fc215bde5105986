"""Keys: made once, stored as hashes, refused once expired or revoked; through the library and the command."""

import hmac
import re
import sqlite3
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from equiray.errors import BadInput
from equiray.serving.guard import keys as keys_module
from equiray.serving.guard.keys import KeyStore
from equiray.serving.guard.limits import Limits
from equiray.serving.guard.quotas import QuotaTable
from equiray.serving.guard.refusals import Refused
from equiray.serving.guard.tables import KEYS, create_tables, open_engine
from guard_stores import postgres
from test_cli import equiray


@pytest.fixture(scope="module")
def postgres_url() -> Iterator[str]:
    with postgres() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/store.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[KeyStore]:
    opened = KeyStore.open(f"sqlite:///{tmp_path}/store.db", refresh_s=0.05)
    yield opened
    opened.close()


def refusal(store: KeyStore, secret: str) -> Refused:
    with pytest.raises(Refused) as caught:
        store.authenticate(secret)
    return caught.value


def refusal_in_time(store: KeyStore, secret: str) -> Refused:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            store.authenticate(secret)
        except Refused as refused:
            return refused
        time.sleep(0.02)
    raise AssertionError("still answered after 5 s")


def test_a_key_is_what_it_was_made(url: str):
    maker = KeyStore.open(url)
    limits = Limits(requests_per_minute=60, tokens_per_day=10**12)
    made, secret = maker.create(name="a bank", scopes=["chat", "decide"], limits=limits, expires_in=timedelta(days=90))
    other = KeyStore.open(url)  # another process's
    found = other.authenticate(secret)
    assert found == made
    assert found.scopes == {"decide", "chat"}
    assert found.limits == limits
    assert found.expires_at == made.created_at + timedelta(days=90)
    assert made in other.list()
    maker.close()
    other.close()


def test_the_database_holds_no_secret(tmp_path: Path, store: KeyStore):
    _, secret = store.create(name="x", scopes=["decide"])
    store.create(name="y", scopes=["decide"])
    hidden = secret.split("_")[2]
    with sqlite3.connect(tmp_path / "store.db") as connection:
        rows = connection.execute("SELECT * FROM equiray_keys").fetchall()
    assert len({row[3] for row in rows}) == 2, "each key has a salt of its own"
    for file in tmp_path.iterdir():  # the write-ahead log, too
        content = file.read_bytes()
        assert hidden.encode() not in content
        assert bytes.fromhex(hidden) not in content


def test_revocation_reaches_another_process(url: str):
    ours, theirs = KeyStore.open(url), KeyStore.open(url, refresh_s=0.05)
    key, secret = ours.create(name="x", scopes=["decide"])
    assert theirs.authenticate(secret) == key
    first = ours.revoke(key.key_id)
    refused = refusal_in_time(theirs, secret)
    assert (refused.status, refused.code) == (401, "revoked_api_key")
    assert ours.revoke(key.key_id) == first, "the first revocation's time stays"
    ours.close()
    theirs.close()


def test_an_expired_key_is_refused_at_its_second(store: KeyStore):
    key, secret = store.create(name="x", scopes=["decide"], expires_in=timedelta(seconds=0.5))
    assert store.authenticate(secret) == key
    time.sleep(0.6)
    assert refusal(store, secret).code == "expired_api_key"
    assert key.status(key.expires_at - timedelta(microseconds=1)) == "active"
    assert key.status(key.expires_at) == "expired"


@pytest.mark.parametrize("kind", ["unknown", "wrong", "malformed", "empty", "huge", "not ascii", "other digits"])
def test_every_wrong_secret_is_compared_in_constant_time(store: KeyStore, monkeypatch, kind: str):
    key, secret = store.create(name="x", scopes=["decide"])
    hidden = secret.split("_")[2]
    wrong = {
        "unknown": f"eqr_{'0' * 12}_{hidden}",
        "wrong": secret[:-1] + ("0" if secret[-1] != "0" else "1"),
        "malformed": "sk-live",
        "empty": "",
        "huge": secret * 1000,
        "not ascii": secret[:-1] + "é",
        "other digits": secret[:-1] + "٣",
    }[kind]
    compared: list[tuple[int, int]] = []

    def watched(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return hmac_compare(one, other)

    hmac_compare = hmac.compare_digest
    monkeypatch.setattr(keys_module.hmac, "compare_digest", watched)
    refused = refusal(store, wrong)
    assert (refused.status, refused.code) == (401, "invalid_api_key")
    assert key.key_id not in refused.message
    assert compared == [(32, 32)], "hashed and compared once, whatever was sent"


def test_the_digest_of_nobody_opens_nothing(store: KeyStore):
    assert refusal(store, f"eqr_{'0' * 12}_{'0' * 64}").status == 401


def test_a_row_that_sql_changed_counts(tmp_path: Path, store: KeyStore):
    _, secret = store.create(name="x", scopes=["decide"])
    store.authenticate(secret)
    with sqlite3.connect(tmp_path / "store.db") as connection:
        connection.execute("DELETE FROM equiray_keys")
    time.sleep(0.3)
    assert refusal(store, secret).code == "invalid_api_key"


def test_keys_too_old_to_trust_answer_nobody(store: KeyStore, monkeypatch):
    _, secret = store.create(name="x", scopes=["decide"])
    store.authenticate(secret)
    monkeypatch.setattr(keys_module, "REVOKED_WITHIN_S", 0.3)
    with store._engine.begin() as connection:
        connection.execute(text("ALTER TABLE equiray_keys RENAME TO away"))
    refused = refusal_in_time(store, secret)
    assert (refused.status, refused.code, refused.retry_after) == (503, "keys_unavailable", 1)
    with store._engine.begin() as connection:
        connection.execute(text("ALTER TABLE away RENAME TO equiray_keys"))
    time.sleep(0.3)
    assert store.authenticate(secret).name == "x"


def test_a_row_that_is_no_key_closes_the_door_and_a_repair_opens_it(tmp_path: Path, store: KeyStore, monkeypatch):
    _, secret = store.create(name="x", scopes=["decide"])
    store.authenticate(secret)
    monkeypatch.setattr(keys_module, "REVOKED_WITHIN_S", 0.3)
    with sqlite3.connect(tmp_path / "store.db") as connection:
        connection.execute("UPDATE equiray_keys SET rows_per_minute = -5")
    assert refusal_in_time(store, secret).code == "keys_unavailable"
    with sqlite3.connect(tmp_path / "store.db") as connection:
        connection.execute("UPDATE equiray_keys SET rows_per_minute = 5")
    time.sleep(0.3)
    assert store.authenticate(secret).limits.rows_per_minute == 5


def test_requests_ask_no_database(store: KeyStore, monkeypatch):
    _, secret = store.create(name="x", scopes=["decide"])
    store.authenticate(secret)
    store._stopped.set()  # the watcher's next look is its last
    time.sleep(0.2)

    def no_connection():
        raise AssertionError("asked the database")

    monkeypatch.setattr(store._engine, "connect", no_connection)
    for _ in range(100):
        store.authenticate(secret)
        refusal(store, f"eqr_{'1' * 12}_{'0' * 64}")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense", "no database URL"),
        ("mysql://u:hunter2@h/d", "another kind: mysql"),
        ("sqlite://", "in memory"),
        ("sqlite:////no/such/folder/x.db", "unable to open"),
        ("postgresql://u:hunter2@127.0.0.1:1/d", "connection"),
    ],
)
def test_a_store_that_cannot_be_used(url: str, said: str):
    with pytest.raises(BadInput) as caught:
        KeyStore.open(url)
    assert said in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"scopes": ["decide", "root"]}, "no such scope: 'root'"),
        ({"scopes": []}, "without a scope"),
        ({"name": ""}, "no name"),
        ({"name": "a\nb"}, "no name"),
    ],
)
def test_a_key_that_cannot_be_made(store: KeyStore, change: dict, said: str):
    with pytest.raises(BadInput, match=re.escape(said)):
        store.create(**{"name": "x", "scopes": ["decide"]} | change)


def test_limits_are_positive():
    with pytest.raises(BadInput, match="--rows-per-minute"):
        Limits(rows_per_minute=0)


def test_tables_may_be_created_by_many_at_once(url: str):
    from concurrent.futures import ThreadPoolExecutor

    engine = open_engine(url)
    KEYS.drop(engine, checkfirst=True)
    engine.dispose()
    with ThreadPoolExecutor(6) as pool:
        for store in pool.map(lambda _: KeyStore.open(url), range(6)):
            assert store.list() == []
            store.close()


def test_marks_of_quotas(url: str):
    engine = open_engine(url)
    create_tables(engine)
    quotas = QuotaTable(engine)
    for day, mark in ((100, 5), (100, 6), (140, 10**13)):
        quotas.write_mark("k", day, mark)
    assert [quotas.mark("k", 140), quotas.mark("k", 100), quotas.mark("other", 140)] == [10**13, 0, 0]
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM equiray_quotas")).scalar_one() == 1, "old ones go"
    engine.dispose()


def test_the_command(tmp_path: Path):
    url = f"sqlite:///{tmp_path}/store.db"
    made = equiray(
        *("keys", "create", "--name", "a [bold]bank", "--scope", "decide, chat", "--expires", "90d"),
        *("--rows-per-minute", "6000", "--store", url),
    )
    assert made.returncode == 0, made.stderr
    secret = made.stdout.strip()
    assert re.fullmatch(r"eqr_[0-9a-f]{12}_[0-9a-f]{64}", secret), "the secret alone, so that a script can keep it"
    key_id = secret.split("_")[1]
    assert key_id in made.stderr
    assert secret not in made.stderr
    with KeyStoreOf(url) as store:
        key = store.authenticate(secret)
        assert key.limits == Limits(rows_per_minute=6000)
        left = key.expires_at - datetime.now(UTC)
        assert timedelta(days=89, hours=23) < left <= timedelta(days=90)
    listed = equiray("keys", "list", EQUIRAY_STORE=url, COLUMNS="140")
    assert listed.returncode == 0
    for part in (key_id, "active", "6000 rows per minute", "a [bold]bank"):
        assert part in listed.stdout
    assert secret.split("_")[2] not in listed.stdout
    revoked = equiray("keys", "revoke", key_id, "--store", url)
    assert revoked.returncode == 0
    assert "within 5 s" in revoked.stdout
    assert "revoked" in equiray("keys", "list", "--store", url, COLUMNS="140").stdout


class KeyStoreOf:
    def __init__(self, url: str) -> None:
        self.store = KeyStore.open(url)

    def __enter__(self) -> KeyStore:
        return self.store

    def __exit__(self, *_: object) -> None:
        self.store.close()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("create", "--name", "x", "--scope", "decide,root"), "no such scope: 'root'"),
        (("create", "--name", "x", "--scope", "decide", "--expires", "90"), "write 12h, 90d or 52w"),
        (("create", "--name", "x", "--scope", "decide", "--expires", "9999999w"), "write 12h, 90d or 52w"),
        (("create", "--name", "x", "--scope", "decide", "--requests-per-minute", "0"), "x>=1"),
        (("create", "--name", "x"), "--scope"),
        (("list",), "no key was ever made there"),
        (("revoke", "abc"), "no key was ever made there"),
    ],
)
def test_the_command_refuses(tmp_path: Path, arguments: tuple[str, ...], said: str):
    wrong = equiray("keys", *arguments, "--store", f"sqlite:///{tmp_path}/store.db")
    assert wrong.returncode == 3
    assert said in " ".join(wrong.stderr.split())
    assert "Traceback" not in wrong.stderr
    if arguments[0] != "create":
        assert not list(tmp_path.iterdir()), "looking creates no file"


def test_revoking_an_unknown_key(store: KeyStore):
    with pytest.raises(BadInput, match="no key has the id 'abc'"):
        store.revoke("abc")
