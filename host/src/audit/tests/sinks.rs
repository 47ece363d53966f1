//! Sinks that fail, and files that are taken away.

use std::{
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
};

use super::*;
use crate::audit::{file::FileOut, stream::StreamOut};

#[tokio::test]
async fn the_file_is_for_its_owner_alone() {
    let trail = Trail::begin().await;
    assert_eq!(fs::metadata(trail.path()).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_second_writer_on_the_file_is_refused() {
    let trail = Trail::begin().await;
    assert!(matches!(trail.open().await, Err(Error::Sink(_))));
}

#[tokio::test]
async fn a_device_that_is_full_is_refused_at_the_start() {
    let trail = Trail::begin().await;
    let full = Audit::open(Sink::File("/dev/full".into()), trail.clock.clone(), trail.barrier.clone()).await;
    assert!(matches!(full, Err(Error::Sink(_))));
}

#[tokio::test]
async fn a_file_that_cannot_be_made_is_refused_at_the_start() {
    let trail = Trail::begin().await;
    let nowhere = Sink::File(trail.folder.path().join("missing").join("audit.log"));
    assert!(matches!(Audit::open(nowhere, trail.clock.clone(), trail.barrier.clone()).await, Err(Error::Sink(_))));
}

#[tokio::test]
async fn a_full_disk_refuses_records_and_leaves_whole_lines() {
    let trail = Trail::begin().await;
    trail.audit.close().await.unwrap();
    let room = Arc::new(AtomicUsize::new(usize::MAX));
    let open = {
        let (path, room) = (trail.path(), room.clone());
        move || {
            let (mut out, last) = FileOut::at(path)?;
            out.room = Some(room);
            Ok(Opened { out: Box::new(out), last, note: None })
        }
    };
    let audit = Audit::begin(open, trail.clock.clone(), trail.barrier.clone()).await.unwrap();
    for left in (0..300).step_by(7) {
        room.store(left, SeqCst);
        assert!(audit.record(about("secrets/kv/lost")).await.is_err());
        assert!(audit.record(about("secrets/kv/lost")).await.is_err(), "still full");
        room.store(usize::MAX, SeqCst);
        audit.record(about("secrets/kv/kept")).await.unwrap();
        audit.seal_head().await.unwrap();
    }
    let lines = trail.lines();
    assert!(lines.iter().all(|line| !line.contains("lost")));
    assert_eq!(trail.first_break(&lines).await, None);
}

#[tokio::test]
async fn an_unfinished_last_line_is_cut_off_at_the_start_and_told() {
    let mut trail = Trail::begin().await;
    trail.fill(2).await;
    trail.audit.close().await.unwrap();
    let mut text = fs::read_to_string(trail.path()).unwrap();
    text.push_str("{\"seq\":4,\"chain\":");
    fs::write(trail.path(), &text).unwrap();
    trail.audit = trail.open().await.unwrap();
    assert!(trail.lines()[3].contains("an unfinished line of 17 bytes was cut off"));
    assert_eq!(trail.first_break(&trail.lines()).await, None);
}

#[tokio::test]
async fn a_file_without_an_end_of_line_in_sight_is_refused() {
    let trail = Trail::begin().await;
    trail.audit.close().await.unwrap();
    fs::write(trail.path(), "x".repeat(3 * limits::AUDIT_LINE_BYTES)).unwrap();
    assert!(matches!(trail.open().await, Err(Error::Sink(_))));
}

#[tokio::test]
async fn a_vanished_file_is_made_anew_and_what_went_with_it_is_told() {
    let trail = Trail::begin().await;
    trail.fill(2).await;
    fs::remove_file(trail.path()).unwrap();
    trail.fill(2).await;
    let lines = trail.lines();
    assert_eq!(lines.len(), 3);
    assert!(lines[0].contains("audit.reopened") && lines[0].contains("the file was moved, removed or replaced"));
    assert_eq!(trail.first_break(&lines).await.unwrap().why, "lines before it are missing");
}

#[tokio::test]
async fn a_vanished_folder_refuses_records_until_it_is_back() {
    let trail = Trail::begin().await;
    let away = trail.folder.path().with_extension("away");
    fs::rename(trail.folder.path(), &away).unwrap();
    assert!(trail.record("nowhere").await.is_err());
    fs::rename(&away, trail.folder.path()).unwrap();
    trail.fill(1).await;
    assert_eq!(trail.first_break(&trail.lines()).await, None);
}

#[tokio::test]
async fn a_rotated_file_goes_on_in_the_next_with_or_without_being_told() {
    for told in [true, false] {
        let trail = Trail::begin().await;
        trail.fill(2).await;
        let old = trail.folder.path().join("audit.log.1");
        fs::rename(trail.path(), &old).unwrap();
        if told {
            trail.audit.reopen().await.unwrap();
        }
        trail.fill(2).await;
        assert_eq!(lines_at(&old).len(), 3);
        assert_eq!(trail.first_break(&[lines_at(&old), trail.lines()].concat()).await, None);
    }
}

#[tokio::test]
async fn a_file_put_in_place_of_ours_is_noticed() {
    let trail = Trail::begin().await;
    trail.fill(2).await;
    let copy = trail.folder.path().join("copy");
    fs::write(&copy, trail.lines()[..2].join("\n") + "\n").unwrap();
    fs::rename(copy, trail.path()).unwrap();
    trail.fill(1).await;
    let lines = trail.lines();
    assert!(lines[2].contains("audit.reopened"));
    let broken = trail.first_break(&lines).await.unwrap();
    assert_eq!((broken.index, &broken.why[..]), (2, "1 lines before it are missing"));
}

#[tokio::test]
async fn a_file_cut_or_prolonged_under_us_is_noticed() {
    let trail = Trail::begin().await;
    trail.fill(2).await;
    let whole = fs::read(trail.path()).unwrap();
    let file = fs::File::options().append(true).open(trail.path()).unwrap();
    file.set_len(whole.len() as u64 - 10).unwrap();
    trail.fill(1).await;
    assert!(trail.lines()[2].contains("audit.reopened"));
    assert_eq!(trail.first_break(&trail.lines()).await.unwrap().index, 2);

    let trail = Trail::begin().await;
    let mut file = fs::File::options().append(true).open(trail.path()).unwrap();
    file.write_all(b"a remark\n").unwrap();
    trail.fill(1).await;
    assert!(trail.lines()[2].contains("audit.reopened"));
    assert_eq!(trail.first_break(&trail.lines()).await.unwrap().index, 1);
}

/// A pipe that breaks after so many bytes, and is mended.
#[derive(Clone, Default)]
struct Pipe {
    taken: Arc<Mutex<Vec<u8>>>,
    room: Arc<AtomicUsize>,
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let some = bytes.len().min(self.room.load(SeqCst)).min(100);
        if some == 0 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.room.fetch_sub(some, SeqCst);
        self.taken.lock().unwrap().extend(&bytes[..some]);
        Ok(some)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_pipe_that_dies_between_or_within_two_records_owns_up_to_what_it_took() {
    let trail = Trail::begin().await;
    let pipe = Pipe::default();
    pipe.room.store(10_000, SeqCst);
    let out = pipe.clone();
    let open = move || Ok(StreamOut::new(Box::new(out)).opened());
    let audit = Audit::begin(open, trail.clock.clone(), trail.barrier.clone()).await.unwrap();
    let mut kept = 0;
    for left in 0..500 {
        // Twice, so that a note on what was torn is torn as well.
        for left in [left, left / 3] {
            pipe.room.store(left, SeqCst);
            kept += usize::from(audit.record(about("secrets/kv/dying")).await.is_ok());
        }
        pipe.room.store(10_000, SeqCst);
        audit.record(about("secrets/kv/kept")).await.unwrap();
    }
    audit.seal_head().await.unwrap();
    let text = String::from_utf8(pipe.taken.lock().unwrap().clone()).unwrap();
    let lines: Vec<_> = text.lines().map(str::to_owned).collect();
    assert_eq!(trail.first_break(&lines).await, None);
    let whole = |word: &str| lines.iter().filter(|line| line.contains(word) && line.ends_with('}')).count();
    assert_eq!((whole("kv/kept"), whole("kv/dying")), (500, kept));

    let torn = lines.iter().position(|line| !line.ends_with('}')).unwrap();
    for change in [vec![], vec!["{\"".to_owned()], vec![lines[torn].clone(), lines[torn].clone()]] {
        let changed = [&lines[..torn], &change, &lines[torn + 1..]].concat();
        assert_eq!(trail.first_break(&changed).await.unwrap().index, torn);
    }
}
