use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::*;

fn caps() -> Caps {
    Caps {
        bytes_out_per_connection_max: 10,
        bytes_in_per_connection_max: 10,
        bytes_out_per_minute_max: 15,
        bytes_in_per_minute_max: 15,
        ..Caps::default()
    }
}

#[tokio::test(start_paused = true)]
async fn not_one_byte_more_goes_out_than_may() {
    let meter = Arc::<Meter>::default();
    for (sent, reason) in [
        (10, Reason::ConnectionBytes),
        (5, Reason::MinuteBytes),
        (0, Reason::MinuteBytes),
    ] {
        let (near, mut far) = duplex(64);
        let tally = Arc::<Tally>::default();
        let mut metered = Metered::new(near, caps(), Arc::clone(&tally), Arc::clone(&meter));
        let error = metered.write_all(&[1; 40]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::QuotaExceeded);
        assert_eq!(tally.exceeded(), Some(reason));
        assert_eq!(tally.bytes_out(), sent);
        drop(metered);
        let mut arrived = Vec::new();
        far.read_to_end(&mut arrived).await.unwrap();
        assert_eq!(u64::try_from(arrived.len()).unwrap(), sent);
    }
    tokio::time::advance(MINUTE).await;
    let (near, _far) = duplex(64);
    let mut metered = Metered::new(near, caps(), Arc::default(), meter);
    assert!(metered.write_all(&[1; 10]).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_did_not_go_out_does_not_count() {
    let (near, mut far) = duplex(4);
    let tally = Arc::<Tally>::default();
    let mut metered = Metered::new(near, caps(), Arc::clone(&tally), Arc::default());
    let writing = metered.write_all(&[1; 10]);
    let given_up = tokio::time::timeout(Duration::from_secs(1), writing).await;
    assert!(given_up.is_err());
    assert_eq!(tally.bytes_out(), 4);
    let mut read = [0; 4];
    far.read_exact(&mut read).await.unwrap();
    assert_eq!(metered.write(&[1; 10]).await.unwrap(), 4);
    assert_eq!((tally.bytes_out(), tally.exceeded()), (8, None));
}

#[tokio::test(start_paused = true)]
async fn what_is_too_much_does_not_come_in() {
    let meter = Arc::<Meter>::default();
    for (chunks, reason, passed) in [
        ([8, 8], Reason::ConnectionBytes, 8),
        ([5, 3], Reason::MinuteBytes, 5),
    ] {
        let (near, mut far) = duplex(64);
        let tally = Arc::<Tally>::default();
        let mut metered = Metered::new(near, caps(), Arc::clone(&tally), Arc::clone(&meter));
        let mut buffer = [0; 64];
        far.write_all(&vec![1; chunks[0]]).await.unwrap();
        assert_eq!(metered.read(&mut buffer).await.unwrap(), passed);
        far.write_all(&vec![1; chunks[1]]).await.unwrap();
        assert!(metered.read(&mut buffer).await.is_err());
        assert_eq!(tally.exceeded(), Some(reason));
        assert_eq!(tally.bytes_in(), u64::try_from(passed).unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn a_minute_has_so_many_connections() {
    let meter = Meter::default();
    assert_eq!(meter.begin(2), Pace::Within);
    assert_eq!(meter.begin(2), Pace::Within);
    assert_eq!(meter.begin(2), Pace::Exceeded);
    assert_eq!(meter.begin(2), Pace::StillExceeded);
    tokio::time::advance(MINUTE).await;
    assert_eq!(meter.begin(2), Pace::Within);
}
