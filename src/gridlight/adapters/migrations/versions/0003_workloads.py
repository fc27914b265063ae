"""The read model of workloads: what a network approved and stopped, with each manifest and who signed it."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "workloads",
        sa.Column("workload", sa.String(160), primary_key=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("serial", sa.BigInteger, nullable=False),
        sa.Column("rollout_percent", sa.Integer, nullable=False),
        sa.Column("expires_ms", sa.BigInteger),
        sa.Column("manifest", sa.LargeBinary),
        sa.Column("publication", sa.String(1024)),
        sa.Column("countersignature", sa.String(1024)),
        sa.Column("changed_ms", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    """Remove it."""
    op.drop_table("workloads")
