"""Alembic's migrations: what is released is never edited, only followed by a further one."""
