"""How far each key's quota of the day is reserved, in the database: what survives a limiter that dies."""

from sqlalchemy import Engine, delete, select

from equiray.serving.guard.tables import QUOTAS

_KEPT_DAYS = 31


class QuotaTable:
    """The marks of `limits.Quota`. One writer: the limiter.

    Parameters
    ----------
    engine : sqlalchemy.Engine
        Of a database whose tables exist (`tables.create_tables`).
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def mark(self, key_id: str, day: int) -> int:
        """What earlier limiters have reserved of a day's tokens."""
        of_key = select(QUOTAS.c.reserved).where(QUOTAS.c.key_id == key_id, QUOTAS.c.day == day)
        with self._engine.connect() as connection:
            return connection.execute(of_key).scalar_one_or_none() or 0

    def write_mark(self, key_id: str, day: int, reserved: int) -> None:
        """Reserve a day's tokens up to here; marks of more than a month ago go."""
        ours = (QUOTAS.c.key_id == key_id) & (QUOTAS.c.day == day)
        with self._engine.begin() as connection:
            if not connection.execute(QUOTAS.update().where(ours).values(reserved=reserved)).rowcount:
                connection.execute(QUOTAS.insert().values(key_id=key_id, day=day, reserved=reserved))
                connection.execute(delete(QUOTAS).where(QUOTAS.c.day < day - _KEPT_DAYS))

    def close(self) -> None:
        """Let go of its connections."""
        self._engine.dispose()
