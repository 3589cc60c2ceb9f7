use rusqlite::Connection;

use super::{RecordError, Writer};

fn writer() -> Writer {
    let connection = Connection::open_in_memory().unwrap();
    connection
        .execute_batch("CREATE TABLE t (n INTEGER PRIMARY KEY) STRICT")
        .unwrap();
    Writer::start(connection, 0, 1024, true).unwrap()
}

fn add(connection: &Connection, n: i64) -> rusqlite::Result<()> {
    connection
        .execute("INSERT INTO t VALUES (?1)", [n])
        .map(drop)
}

fn count(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("SELECT count(*) FROM t", [], |row| row.get(0))
}

#[tokio::test]
async fn a_task_that_fails_undoes_its_own_statements_only() {
    let writer = writer();
    let good = writer.run(|c| add(c, 1));
    let bad = writer.run(|c| {
        add(c, 2)?;
        add(c, 1)
    });
    let after = writer.run(|c| add(c, 3));
    let (good, bad, after) = tokio::join!(good, bad, after);
    good.unwrap();
    assert!(matches!(bad, Err(RecordError::Write(_))));
    after.unwrap();
    assert_eq!(writer.run(count).await.unwrap(), 2);
}

#[tokio::test]
async fn of_many_takers_one_finds_the_row() {
    let writer = writer();
    for n in 0..100 {
        writer.run(move |c| add(c, n)).await.unwrap();
        let take = || writer.run(move |c| c.execute("DELETE FROM t WHERE n = ?1", [n]));
        let (a, b, c) = tokio::join!(take(), take(), take());
        assert_eq!(a.unwrap() + b.unwrap() + c.unwrap(), 1);
    }
}

#[tokio::test]
async fn nothing_runs_once_it_is_closed() {
    let writer = writer();
    writer.close().await;
    assert!(matches!(writer.run(count).await, Err(RecordError::Closed)));
}
