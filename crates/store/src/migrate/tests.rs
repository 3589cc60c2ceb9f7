use super::*;

const ONE: &[(&str, &str)] = &[("a", "CREATE TABLE a (x INTEGER)")];
const TWO: &[(&str, &str)] = &[
    ("a", "CREATE TABLE a (x INTEGER)"),
    ("b", "CREATE TABLE b (y INTEGER)"),
];

fn version(connection: &Connection) -> i64 {
    connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap()
}

#[test]
fn steps_are_taken_once_and_in_order() {
    let mut connection = Connection::open_in_memory().unwrap();
    run_steps(&mut connection, ONE).unwrap();
    assert_eq!(version(&connection), 1);
    run_steps(&mut connection, TWO).unwrap();
    run_steps(&mut connection, TWO).unwrap();
    assert_eq!(version(&connection), 2);
}

#[test]
fn an_older_program_refuses_a_newer_file() {
    let mut connection = Connection::open_in_memory().unwrap();
    run_steps(&mut connection, TWO).unwrap();
    let error = run_steps(&mut connection, ONE).unwrap_err();
    assert!(
        matches!(error, MigrateError::Newer { found: 2, known: 1 }),
        "{error:?}"
    );
}

#[test]
fn an_altered_step_is_noticed() {
    let mut connection = Connection::open_in_memory().unwrap();
    run_steps(&mut connection, ONE).unwrap();
    let altered = &[("a", "CREATE TABLE a (x INTEGER, z INTEGER)")];
    let error = run_steps(&mut connection, altered).unwrap_err();
    assert!(
        matches!(error, MigrateError::Altered { version: 1 }),
        "{error:?}"
    );
}

#[test]
fn a_failed_step_leaves_the_file_as_it_was() {
    let mut connection = Connection::open_in_memory().unwrap();
    let broken = &[
        ("a", "CREATE TABLE a (x INTEGER)"),
        ("b", "CREATE TABLE b (; nonsense"),
    ];
    let error = run_steps(&mut connection, broken).unwrap_err();
    assert!(
        matches!(error, MigrateError::Sql { version: 2, .. }),
        "{error:?}"
    );
    assert_eq!(version(&connection), 1);
    run_steps(&mut connection, TWO).unwrap();
    assert_eq!(version(&connection), 2);
}
