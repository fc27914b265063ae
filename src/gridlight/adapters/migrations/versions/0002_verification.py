"""The read models of verification: committed answers, their checks, faults, standings, epochs, and the parameters."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


_COUNTED = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables of verification; what was answered before it stays unverified."""
    _make_answers()
    op.create_table(
        "faults",
        sa.Column("node_id", sa.String(56), primary_key=True),
        sa.Column("commit", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("role", sa.String(16), primary_key=True),
        sa.Column("grade", sa.String(16), nullable=False),
        sa.Column("said", sa.String(64), nullable=False),
        sa.Column("reference", sa.String(64), nullable=False),
        sa.Column("settled_by", sa.String(56)),
        sa.Column("are_probes_wrong", sa.Boolean, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
    )
    op.create_index("faults_by_time", "faults", ["at_ms"])
    op.create_index("faults_of_node", "faults", ["node_id", "at_ms"])
    op.create_table(
        "standings",
        sa.Column("node_id", sa.String(56), primary_key=True),
        sa.Column("tier", sa.String(16), nullable=False),
        sa.Column("clean_run", sa.BigInteger, nullable=False),
        sa.Column("checks_passed", sa.BigInteger, nullable=False),
        sa.Column("faults", sa.Integer, nullable=False),
        sa.Column("changed_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "epochs",
        sa.Column("epoch", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("commitment", sa.String(64), nullable=False),
        sa.Column("secret", sa.String(64)),
        sa.Column("committed_ms", sa.BigInteger, nullable=False),
        sa.Column("began_ms", sa.BigInteger),
        sa.Column("revealed_ms", sa.BigInteger),
    )
    op.create_table(
        "network",
        sa.Column("row", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("trust", sa.LargeBinary, nullable=False),
    )


def _make_answers() -> None:
    op.create_table(
        "commits",
        sa.Column("commit", _COUNTED, primary_key=True, autoincrement=False),
        sa.Column("job_id", sa.String(32), nullable=False),
        sa.Column("node_id", sa.String(56), nullable=False),
        sa.Column("assignment_id", sa.String(16), nullable=False),
        sa.Column("output_digest", sa.String(64), nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("audit_ppm", sa.Integer, nullable=False),
        sa.Column("is_audited", sa.Boolean, nullable=False),
        sa.Column("is_bound", sa.Boolean, nullable=False),
        sa.Column("verification", sa.String(16), nullable=False),
        sa.Column("output", sa.LargeBinary),
        sa.Column("committed_ms", sa.BigInteger, nullable=False),
        sa.Column("changed_ms", sa.BigInteger, nullable=False),
    )
    op.create_index("commits_of_job", "commits", ["job_id"])
    op.create_index("commits_of_epoch", "commits", ["epoch", "commit"])
    is_open = sa.text("verification = 'provisional'")
    op.create_index("commits_open", "commits", ["node_id", "commit"], sqlite_where=is_open, postgresql_where=is_open)
    op.create_table(
        "checks",
        sa.Column("check", _COUNTED, primary_key=True, autoincrement=False),
        sa.Column("commit", sa.BigInteger, nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("node_id", sa.String(56)),
        sa.Column("primary_id", sa.String(56)),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("output_digest", sa.String(64)),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
    )
    op.create_index("checks_of_commit", "checks", ["commit", "check"])
    op.create_index("checks_by_node", "checks", ["node_id", "check"])
    op.create_index("checks_of_primary", "checks", ["primary_id", "check"])


def downgrade() -> None:
    """Remove them."""
    for table in ("network", "epochs", "standings", "faults", "checks", "commits"):
        op.drop_table(table)
