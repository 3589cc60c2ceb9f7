//! The database: one module a table, and all the SQL there is.
