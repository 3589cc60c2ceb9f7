use tokio::io::AsyncWriteExt;

use super::*;

fn whole(text: &'static str) -> Line {
    Line::Whole(Bytes::from_static(text.as_bytes()))
}

/// Feeds `input` in pieces of `piece` bytes.
async fn cut(input: &str, piece: usize, bytes_max: usize) -> Vec<Line> {
    let (mut writer, reader) = tokio::io::duplex(piece);
    let feed = async {
        writer.write_all(input.as_bytes()).await.unwrap();
        drop(writer);
    };
    let read = async {
        let mut lines = Lines::new(reader, bytes_max);
        let mut found = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            found.push(line);
        }
        found
    };
    tokio::join!(feed, read).1
}

#[tokio::test]
async fn lines_are_the_same_however_the_stream_is_cut() {
    for piece in 1..12 {
        let found = cut("one\n\r\n  \ntwo\r\nthree\nrest", piece, 5).await;
        assert_eq!(found, [whole("one"), whole("two"), whole("three")]);
    }
}

#[tokio::test]
async fn a_line_that_is_too_long_is_skipped_and_told_once() {
    for piece in [1, 3, 64] {
        let long = "x".repeat(1000);
        let found = cut(&format!("a\n{long}\nb\nsixsix\nfives\n"), piece, 5).await;
        assert_eq!(
            found,
            [
                whole("a"),
                Line::Oversize,
                whole("b"),
                Line::Oversize,
                whole("fives")
            ]
        );
    }
}

#[tokio::test]
async fn a_skipped_line_takes_no_memory() {
    let (mut writer, reader) = tokio::io::duplex(4096);
    let feed = async {
        for _ in 0..1000 {
            writer.write_all(&[b'x'; 4096]).await.unwrap();
        }
        drop(writer);
    };
    let read = async {
        let mut lines = Lines::new(reader, 1024);
        assert_eq!(lines.next().await.unwrap(), None);
        assert!(lines.buffer.capacity() < 8 * CHUNK);
    };
    tokio::join!(feed, read);
}
