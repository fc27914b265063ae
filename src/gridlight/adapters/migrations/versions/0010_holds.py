"""Why nodes are held in shadow, or do not become trusted, where that is not their own doing."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; nobody was held until now."""
    op.add_column("nodes", sa.Column("hold", sa.String(16), nullable=True))


def downgrade() -> None:
    """Remove it."""
    op.drop_column("nodes", "hold")
