//! Statements are what a parser makes of them.

use portcullis_constraint::Reason;
use serde_json::json;

use crate::support::{compile, constraints, nowhere, passes, refused, rule};

const DIALECTS: &[&str] = &["generic", "postgres", "mysql", "sqlite", "mssql"];

#[track_caller]
fn refused_by_all(sql: &str) {
    for dialect in DIALECTS {
        let constraints = constraints(json!({"kind": "sql", "dialect": dialect}));
        let violation = constraints.check(&json!({"it": sql}));
        assert!(violation.is_err(), "{dialect} passes {sql}");
    }
}

#[test]
fn what_does_more_than_read_is_refused_in_every_dialect() {
    for sql in [
        "",
        "   ",
        "-- nothing",
        "nonsense",
        "SELECT",
        "SELECT 1; DROP TABLE users",
        "SELECT 1; SELECT 2",
        "SELECT 1;;SELECT 2",
        "INSERT INTO t VALUES (1)",
        "UPDATE t SET a = 1 WHERE b = 2",
        "DELETE FROM t WHERE a = 1",
        "DROP TABLE t",
        "TRUNCATE TABLE t",
        "ALTER TABLE t ADD COLUMN a int",
        "CREATE TABLE t (a int)",
        "GRANT ALL ON t TO u",
        "CREATE USER u",
        "CALL p()",
        "EXEC xp_cmdshell 'id'",
        "EXECUTE p",
        "SET ROLE postgres",
        "SET GLOBAL general_log = 1",
        "BEGIN",
        "COMMIT",
        "VACUUM",
        "ATTACH DATABASE '/tmp/x' AS x",
        "PRAGMA writable_schema = 1",
        "COPY t TO '/tmp/x'",
        "COPY t FROM PROGRAM 'id'",
        "COPY (SELECT 1) TO '/tmp/x'",
        "LOAD DATA INFILE '/etc/passwd' INTO TABLE t",
        "DO $$ BEGIN END $$",
        "SELECT * INTO new FROM t",
        "SELECT 1 INTO OUTFILE '/tmp/x'",
        "SELECT 1 INTO DUMPFILE '/tmp/x'",
        "SELECT a FROM t FOR UPDATE",
        "WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d",
        "WITH d AS (UPDATE t SET a = 1 RETURNING *) SELECT * FROM d",
        "WITH d AS (INSERT INTO t VALUES (1) RETURNING *) SELECT * FROM d",
        "EXPLAIN ANALYZE DELETE FROM t",
        "EXPLAIN SELECT 1",
        "SHOW GRANTS",
        "SELECT /*! 1; DROP TABLE t */ 1",
        "SELECT /*!50000 1 */",
        "SELECT /*M! 1 */ 1",
        "SELECT /* a /* b */ 1 */ 2",
        "SELECT /*+ hint */ 1",
        "SELECT 'a\\' OR 1=1 -- '",
        "SELECT 1\0",
        "SELECT 1 -- a\r; DROP TABLE t",
        "SELECT\u{a0}1",
        "SELECT 'a\u{202e}b'",
        "TABLE users",
        "SELECT 1 UNION TABLE users",
        "HANDLER t OPEN",
        "KILL 1",
        "LISTEN c",
        "NOTIFY c",
        "LOCK TABLE t",
        "USE mysql",
        "MERGE INTO t USING s ON 1=1 WHEN MATCHED THEN DELETE",
        "REPLACE INTO t VALUES (1)",
        "DECLARE c CURSOR FOR SELECT 1",
        "PREPARE p AS SELECT 1",
        "WAITFOR DELAY '0:0:5'",
        "INSTALL httpfs",
        "LOAD 'x'",
        "EXPORT DATABASE 'x'",
    ] {
        refused_by_all(sql);
    }
}

#[test]
fn functions_that_read_files_reach_out_or_wait_are_refused_in_every_dialect() {
    for sql in [
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT pg_ls_dir('/')",
        "SELECT * FROM pg_ls_dir('/')",
        "SELECT pg_read_binary_file('a')",
        "SELECT lo_import('/etc/passwd')",
        "SELECT lo_export(1, 'a')",
        "SELECT dblink('host=evil', 'select 1')",
        "SELECT * FROM dblink('a', 'b') AS t(a int)",
        "SELECT pg_sleep(10)",
        "SELECT PG_SLEEP(10)",
        "SELECT \"pg_sleep\"(10)",
        "SELECT pg_catalog.pg_sleep(10)",
        "SELECT sleep(5)",
        "SELECT benchmark(1000000, md5('a'))",
        "SELECT load_file('/etc/passwd')",
        "SELECT load_extension('x.so')",
        "SELECT readfile('a')",
        "SELECT writefile('a', 'b')",
        "SELECT edit('a')",
        "SELECT fts3_tokenizer('a')",
        "SELECT xp_cmdshell('id')",
        "SELECT * FROM OPENROWSET('a', 'b', 'c')",
        "SELECT sys_eval('id')",
        "SELECT sys_exec('id')",
        "SELECT query_to_xml('drop table t', true, true, '')",
        "SELECT database_to_xml(true, true, '')",
        "SELECT set_config('a', 'b', false)",
        "SELECT current_setting('data_directory')",
        "SELECT pg_terminate_backend(1)",
        "SELECT pg_reload_conf()",
        "SELECT nextval('s')",
        "SELECT setval('s', 1)",
        "SELECT inet_server_addr()",
        "SELECT randomblob(1000000000)",
        "SELECT zeroblob(1000000000)",
        "SELECT repeat('a', 1000000000)",
        "SELECT extractvalue(1, concat(0x7e, version()))",
        "SELECT updatexml(1, 'a', 1)",
        "SELECT a FROM t WHERE b = sleep(5)",
        "SELECT a FROM t ORDER BY (SELECT pg_sleep(5))",
        "SELECT CASE WHEN 1=1 THEN pg_sleep(5) END",
        "SELECT a FROM t GROUP BY pg_sleep(1)",
        "SELECT count(*) FILTER (WHERE pg_sleep(1) IS NULL) FROM t",
        "SELECT max(pg_sleep(1)) OVER (PARTITION BY pg_sleep(2)) FROM t",
        "SELECT a FROM t LIMIT (SELECT pg_sleep(1))",
        "SELECT a FROM t JOIN u ON sleep(1) = 1",
        "SELECT (SELECT load_extension('a'))",
        "VALUES (pg_sleep(1))",
        "SELECT a FROM t WHERE EXISTS (SELECT pg_sleep(1))",
        "SELECT CAST(pg_sleep(1) AS text)",
        "SELECT get_lock('a', 10)",
        "SELECT user_defined(1)",
        "SELECT passwd FROM pg_shadow",
        "SELECT * FROM pg_catalog.pg_authid",
        "SELECT * FROM mysql.user",
        "SELECT * FROM pragma_database_list",
        "SELECT * FROM '/etc/passwd'",
    ] {
        refused_by_all(sql);
    }
}

#[test]
fn what_a_dialect_reads_differently_is_refused() {
    for dialect in ["generic", "mysql", "sqlite", "mssql"] {
        let constraints = constraints(json!({"kind": "sql", "dialect": dialect}));
        for sql in [
            "SELECT @@version",
            "SELECT @@datadir",
            "SELECT @@global.secure_file_priv",
        ] {
            assert!(
                constraints.check(&json!({"it": sql})).is_err(),
                "{dialect}: {sql}"
            );
        }
    }
    for dialect in ["generic", "postgres"] {
        let constraints = constraints(json!({"kind": "sql", "dialect": dialect}));
        for sql in [
            "SELECT $$a$$",
            "SELECT $a$ b $a$",
            "SELECT U&'\\0061'",
            "SELECT U&\"a\"",
            "SELECT E'\\x27'",
        ] {
            assert!(
                constraints.check(&json!({"it": sql})).is_err(),
                "{dialect}: {sql}"
            );
        }
    }
    for dialect in ["generic", "postgres", "sqlite", "mssql"] {
        let constraints = constraints(json!({"kind": "sql", "dialect": dialect}));
        for sql in ["SELECT 1 --1\n", "SELECT 1 --1"] {
            assert!(
                constraints.check(&json!({"it": sql})).is_err(),
                "{dialect}: {sql}"
            );
        }
    }
}

#[test]
fn ordinary_queries_pass_in_every_dialect() {
    for sql in [
        "SELECT 1",
        "SELECT 1;",
        "select * from users",
        "SELECT a, b AS c FROM t WHERE d = 'it''s' ORDER BY a DESC",
        "SELECT count(*), max(a) FROM t GROUP BY b HAVING count(*) > 1",
        "SELECT t.a, u.b FROM t LEFT JOIN u ON t.id = u.t_id WHERE u.c IN (1, 2, 3)",
        "WITH a AS (SELECT 1 AS x), b AS (SELECT x FROM a) SELECT * FROM b",
        "SELECT a FROM t UNION ALL SELECT b FROM u",
        "SELECT CASE WHEN a > 1 THEN 'x' ELSE 'y' END FROM t",
        "SELECT row_number() OVER (PARTITION BY a ORDER BY b) FROM t",
        "SELECT a FROM (SELECT a FROM t) AS s",
        "SELECT COALESCE(a, 'x'), upper(b) FROM t",
        "-- how many\nSELECT count(*) FROM t",
        "/* report */ SELECT a FROM t",
        "SELECT a FROM t WHERE b LIKE '%; DROP TABLE t; --%'",
        "SELECT a FROM t WHERE b = '/* a */'",
        "SELECT a FROM schema1.t WHERE b BETWEEN 1 AND 2 AND c IS NOT NULL",
        "SELECT 'über' FROM t",
        "SELECT CAST(a AS int) FROM t",
    ] {
        for dialect in DIALECTS {
            passes(
                &constraints(json!({"kind": "sql", "dialect": dialect})),
                sql,
            );
        }
    }
    let postgres = constraints(json!({"kind": "sql", "dialect": "postgres"}));
    for sql in [
        "SELECT a::text, b->>'c' FROM t WHERE d @> '{}'::jsonb LIMIT 10 OFFSET 5",
        "SELECT date_trunc('day', a), extract(year FROM b) FROM t WHERE a > now() - interval '1 day'",
        "SELECT table_name FROM information_schema.tables",
        "SELECT e FROM unnest(ARRAY[1, 2]) AS e",
        "SELECT * FROM t WHERE a = $1",
        "SELECT DISTINCT ON (a) a FROM t",
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT n FROM r",
    ] {
        passes(&postgres, sql);
    }
}

#[test]
fn tables_are_held_to_their_list() {
    let constraints = constraints(json!({"kind": "sql", "dialect": "postgres",
        "tables": ["users", "sales.*", "log_*"]}));
    for sql in [
        "SELECT * FROM users",
        "SELECT * FROM \"users\"",
        "SELECT * FROM USERS u",
        "SELECT * FROM sales.orders",
        "SELECT * FROM log_2024 JOIN users ON true",
        "WITH x AS (SELECT * FROM users) SELECT * FROM x",
        "WITH a AS (SELECT 1), b AS (SELECT * FROM a) SELECT * FROM b, users",
    ] {
        passes(&constraints, sql);
    }
    for sql in [
        "SELECT * FROM secrets",
        "SELECT * FROM public.users",
        "SELECT * FROM other.sales.orders",
        "SELECT * FROM users, secrets",
        "SELECT * FROM users JOIN secrets ON true",
        "SELECT (SELECT a FROM secrets)",
        "SELECT * FROM users WHERE id IN (SELECT id FROM secrets)",
        "SELECT * FROM users UNION SELECT * FROM secrets",
        "SELECT * FROM \"sales.orders\"",
        "SELECT * FROM sales.\"a/b\"",
        "SELECT * FROM LATERAL (SELECT * FROM secrets) AS s",
        "WITH secrets AS (SELECT * FROM secrets) SELECT * FROM secrets",
        "WITH a AS (SELECT * FROM secrets), secrets AS (SELECT 1) SELECT * FROM a",
        "SELECT * FROM (WITH secrets AS (SELECT 1) SELECT * FROM secrets) AS x, secrets",
        "SELECT EXISTS (SELECT 1 FROM secrets)",
        "SELECT ARRAY(SELECT a FROM secrets)",
        "SELECT * FROM users ORDER BY (SELECT a FROM secrets LIMIT 1)",
        "SELECT * FROM (users CROSS JOIN secrets)",
        "SELECT * FROM ONLY secrets",
        "TABLE secrets",
        "SELECT * FROM log_2024.secrets",
    ] {
        let result = constraints.check(&json!({"it": sql}));
        assert!(result.is_err(), "{sql}");
    }
    let mysql = crate::support::constraints(
        json!({"kind": "sql", "dialect": "mysql", "tables": ["users"]}),
    );
    passes(&mysql, "SELECT * FROM `users`");
    refused(&mysql, "SELECT * FROM `secrets`", Reason::Table);
}

#[test]
fn changes_are_held_to_kinds_tables_and_conditions() {
    let constraints = constraints(
        json!({"kind": "sql", "dialect": "postgres", "tables": ["t"],
        "statements": ["select", "insert", "update", "delete"]}),
    );
    for sql in [
        "INSERT INTO t (a) VALUES (1), (2)",
        "INSERT INTO t SELECT * FROM t",
        "UPDATE t SET a = 1 WHERE id = 5",
        "DELETE FROM t WHERE id = 5 AND 1 = 1",
        "DELETE FROM t WHERE id = 5 OR id = 6",
        "INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING",
        "WITH d AS (DELETE FROM t WHERE id = 1 RETURNING *) SELECT * FROM d",
    ] {
        passes(&constraints, sql);
    }
    for (sql, reason) in [
        ("DELETE FROM t", Reason::NoCondition),
        ("UPDATE t SET a = 1", Reason::NoCondition),
        ("DELETE FROM t WHERE true", Reason::NoCondition),
        ("DELETE FROM t WHERE 1 = 1", Reason::NoCondition),
        ("DELETE FROM t WHERE id = 5 OR 1 = 1", Reason::NoCondition),
        (
            "DELETE FROM t WHERE (id = 5) OR ('a' = 'a')",
            Reason::NoCondition,
        ),
        ("DELETE FROM t WHERE id = id", Reason::NoCondition),
        ("UPDATE u SET a = 1 WHERE id = 5", Reason::Table),
        ("DELETE FROM u WHERE id = 5", Reason::Table),
        ("INSERT INTO u VALUES (1)", Reason::Table),
        ("INSERT INTO t SELECT * FROM u", Reason::Table),
        (
            "UPDATE t SET a = (SELECT b FROM u) WHERE id = 5",
            Reason::Table,
        ),
        ("UPDATE t SET a = 1 FROM u WHERE t.id = 5", Reason::Table),
        ("DELETE FROM t USING u WHERE t.id = 5", Reason::Table),
        (
            "DELETE FROM t WHERE id IN (SELECT id FROM u)",
            Reason::Table,
        ),
        (
            "DELETE FROM t WHERE id = 5 RETURNING pg_sleep(1)",
            Reason::Function,
        ),
        (
            "WITH u AS (SELECT 1) DELETE FROM u WHERE id = 5",
            Reason::Table,
        ),
        (
            "WITH u AS (SELECT 1) INSERT INTO u VALUES (1)",
            Reason::Table,
        ),
        (
            "WITH u AS (SELECT 1) UPDATE u SET a = 1 WHERE a = 2",
            Reason::Table,
        ),
        (
            "DELETE FROM t WHERE id = 5; DELETE FROM t WHERE id = 6",
            Reason::StatementCount,
        ),
        ("TRUNCATE t", Reason::Statement),
    ] {
        refused(&constraints, sql, reason);
    }
    let insert = crate::support::constraints(
        json!({"kind": "sql", "dialect": "postgres", "statements": ["insert"]}),
    );
    refused(
        &insert,
        "INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET a = 2",
        Reason::Statement,
    );
    refused(&insert, "SELECT 1", Reason::Statement);
}

#[test]
fn what_is_explained_or_shown_has_to_be_permitted_too() {
    let constraints = constraints(json!({"kind": "sql", "dialect": "postgres",
        "statements": ["select", "explain", "show"], "several": true, "functions": ["version"]}));
    passes(&constraints, "EXPLAIN SELECT 1");
    passes(&constraints, "EXPLAIN ANALYZE SELECT 1");
    passes(&constraints, "SHOW TABLES");
    passes(&constraints, "SELECT version(); SELECT 2");
    refused(
        &constraints,
        "EXPLAIN ANALYZE DELETE FROM t WHERE a = 1",
        Reason::Statement,
    );
    refused(
        &constraints,
        "EXPLAIN (ANALYZE) DELETE FROM t WHERE a = 1",
        Reason::Statement,
    );
    refused(&constraints, "SELECT 1; DROP TABLE t", Reason::Statement);
}

#[test]
fn large_and_deep_statements_are_refused_and_none_overflows_the_stack() {
    let constraints = constraints(json!({"kind": "sql"}));
    let deep = [
        format!("SELECT {}1{}", "(".repeat(5000), ")".repeat(5000)),
        format!("SELECT {}1", "- ".repeat(5000)),
        format!("SELECT 1{}", " + 1".repeat(5000)),
        format!("SELECT {}true", "NOT ".repeat(5000)),
        format!("SELECT 1{}", " UNION SELECT 1".repeat(5000)),
        format!("SELECT a{} FROM t", "::text".repeat(5000)),
        format!("SELECT a{} FROM t", "[1]".repeat(5000)),
        format!(
            "SELECT {}1{}",
            "CASE WHEN 1 THEN ".repeat(2000),
            " END".repeat(2000)
        ),
        format!(
            "SELECT * FROM {}t{}",
            "(SELECT * FROM ".repeat(2000),
            ")".repeat(2000)
        ),
        format!("SELECT '{}'", "a".repeat(100_000)),
        format!("SELECT {}1", "1,".repeat(20_000)),
        format!("{}SELECT 1", "EXPLAIN ".repeat(3000)),
        format!("{}SELECT 1", "PREPARE a AS ".repeat(3000)),
        format!("{}SELECT 1", "IF 1 THEN ".repeat(3000)),
        format!("{}SELECT 1", "BEGIN ".repeat(3000)),
        format!("{}SELECT 1", "DESC ".repeat(3000)),
        format!(
            "{}SELECT 1{}",
            "SELECT * FROM (WITH a AS (".repeat(30),
            ") SELECT 1) AS b".repeat(30)
        ),
        format!(
            "SELECT CAST(1 AS {}int{})",
            "ARRAY<".repeat(3000),
            ">".repeat(3000)
        ),
        format!("SELECT 1{}", " COLLATE a".repeat(4000)),
        format!("SELECT 1{}", " IS NULL".repeat(4000)),
        format!("SELECT a FROM t{}", " CROSS JOIN t".repeat(4000)),
    ];
    for sql in deep {
        assert!(constraints.check(&json!({"it": sql})).is_err(), "{sql:.60}");
    }
    for most in [
        format!("SELECT 1{}", " + 1".repeat(249)),
        format!("SELECT 1{}", " UNION SELECT 1".repeat(249)),
        format!("SELECT a{} FROM t", ".b".repeat(4000)),
        format!("SELECT a IN ({}1) FROM t", "1, ".repeat(3000)),
    ] {
        passes(&constraints, most);
    }
}

#[test]
fn rules_that_mean_nothing_definite_are_refused_when_compiled() {
    let json = json!({"kind": "sql", "statements": ["create-table"], "tables": ["a"]});
    assert!(compile(rule(json), &nowhere()).is_err());
    assert!(compile(rule(json!({"kind": "sql", "tables": ["a["]})), &nowhere()).is_err());
}

#[test]
fn tables_are_found_wherever_a_statement_can_name_one() {
    for dialect in DIALECTS {
        let constraints = constraints(json!({"kind": "sql", "dialect": dialect, "tables": ["t"],
            "statements": ["select", "insert", "update", "delete", "explain", "show"]}));
        for sql in [
            "SELECT * FROM t LIMIT (SELECT a FROM secrets)",
            "SELECT * FROM t OFFSET (SELECT a FROM secrets)",
            "SELECT a FROM t GROUP BY (SELECT a FROM secrets)",
            "SELECT a FROM t HAVING (SELECT 1 FROM secrets) = 1",
            "SELECT sum(a) OVER (ORDER BY (SELECT a FROM secrets)) FROM t",
            "SELECT CASE (SELECT 1 FROM secrets) WHEN 1 THEN 2 END FROM t",
            "SELECT a BETWEEN 1 AND (SELECT a FROM secrets) FROM t",
            "SELECT count((SELECT a FROM secrets)) FROM t",
            "SELECT * FROM t JOIN t AS u ON u.a = (SELECT a FROM secrets)",
            "SELECT * FROM t NATURAL JOIN secrets",
            "VALUES ((SELECT a FROM secrets))",
            "INSERT INTO t VALUES ((SELECT a FROM secrets))",
            "INSERT INTO t (a) WITH x AS (SELECT * FROM secrets) SELECT * FROM x",
            "UPDATE t SET a = 1 WHERE b = (SELECT a FROM secrets)",
            "DESCRIBE secrets",
            "EXPLAIN SELECT * FROM secrets",
            "SHOW COLUMNS FROM secrets",
            "SHOW CREATE TABLE secrets",
            "SELECT * FROM t AS x, LATERAL (SELECT * FROM secrets) AS y",
            "SELECT * FROM t EXCEPT SELECT * FROM secrets",
            "(SELECT * FROM secrets)",
            "SELECT * FROM t WHERE (a, b) IN (SELECT a, b FROM secrets)",
            "SELECT * FROM t WHERE a = ANY (SELECT a FROM secrets)",
            "SELECT * FROM t WHERE NOT EXISTS (SELECT 1 FROM secrets)",
        ] {
            let result = constraints.check(&json!({"it": sql}));
            assert!(result.is_err(), "{dialect} passes {sql}");
        }
    }
}
