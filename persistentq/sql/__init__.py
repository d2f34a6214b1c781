"""PersistentQSQLAlchemy: the contract on a database, through the SQLAlchemy ORM."""
