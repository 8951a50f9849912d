"""The store: SQLAlchemy Core tables, one query module a noun, and the migrations."""
