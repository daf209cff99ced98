//! Tests of the publishing loop on the files that tell of records: what a full or failing disk does to the numbers, and
//! what is on the disk before anybody is told.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use super::tests::{Scripted, publish};
use crate::{
    acks::AckWriter,
    checkpoint::Checkpoint,
    console::{Captured, Console, Level},
    io::{
        journal::{Journal, Medium},
        stop::Stop,
    },
    outcome::Ending,
    reject::Rejects,
    report::Report,
};

#[test]
fn the_numbers_add_up_when_a_disk_is_full_and_what_was_under_way_is_delivered() {
    let many = "{\"seq\":1,\"value\":1}\nnone\n".repeat(5000);
    for full in ["rejects", "report"] {
        let mut client = Scripted::default();
        let ran = publish(
            &mut client,
            many.as_bytes(),
            Stop::manual().unwrap(),
            |plan| {
                plan.envelope = true;
                plan.tee = None;
                let full_disk = Journal::open(Path::new("/dev/full")).unwrap();
                if full == "rejects" {
                    let console = Console::new("t", Level::Normal, Captured::default(), false);
                    plan.rejects = Rejects::to(console, Some(full_disk));
                } else {
                    plan.report = Some(Report::to(full_disk));
                }
            },
        );
        let error = ran.ending.unwrap_err();
        assert!(error.starts_with("/dev/full: No space left"), "{error}");
        let summary = ran.summary;
        assert_eq!(summary.read, summary.delivered + summary.rejected, "{full}");
        assert_eq!(summary.delivered, client.sent.len() as u64, "{full}");
        assert!((1..10_000).contains(&summary.read), "{full}: {summary:?}");
        assert_eq!((ran.acks.as_str(), ran.checkpoint), ("", 0), "{full}");
    }
}

/// A disk that looks, when it is synced, at what was vouched for until then.
#[derive(Debug)]
struct Watching {
    appended: usize,
    seen: Arc<Mutex<Vec<(usize, String, u64)>>>,
    fails: bool,
    folder: PathBuf,
}

impl Medium for Watching {
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.appended += memchr::memchr_iter(b'\n', lines).count();
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let acks = std::fs::read_to_string(self.folder.join("acks")).unwrap_or_default();
        let place = Checkpoint::read(&self.folder.join("checkpoint")).unwrap();
        let seen = (self.appended, acks, place.line);
        self.seen.lock().unwrap().push(seen);
        if self.fails {
            return Err(io::Error::other("the disk is gone"));
        }
        Ok(())
    }
}

#[test]
fn what_vouches_comes_after_what_it_vouches_for_is_durable() {
    let input = b"{\"seq\":1,\"value\":1}\nnone\n{\"seq\":3,\"value\":3}\n";
    for journal in ["rejects", "report"] {
        for fails in [false, true] {
            let seen = Arc::new(Mutex::new(Vec::new()));
            let folder = tempfile::tempdir().unwrap();
            let watching = Watching {
                appended: 0,
                seen: Arc::clone(&seen),
                fails,
                folder: folder.path().to_owned(),
            };
            let (acks, kept) = (folder.path().join("acks"), folder.path().join("checkpoint"));
            let ran = publish(
                &mut Scripted::default(),
                input,
                Stop::manual().unwrap(),
                |plan| {
                    plan.envelope = true;
                    plan.acks = Some(AckWriter::open(&acks).unwrap());
                    plan.checkpoint = Some(Checkpoint::open(&kept).unwrap());
                    let watched = Journal::over("disk", watching);
                    if journal == "rejects" {
                        let console = Console::new("t", Level::Normal, Captured::default(), false);
                        plan.rejects = Rejects::to(console, Some(watched));
                    } else {
                        plan.report = Some(Report::to(watched));
                    }
                },
            );
            let lines = if journal == "rejects" { 1 } else { 4 };
            let first = seen.lock().unwrap()[0].clone();
            assert_eq!(first, (lines, String::new(), 0), "{journal}");
            let vouched = (
                std::fs::read_to_string(&acks).unwrap(),
                Checkpoint::read(&kept).unwrap().line,
            );
            if fails {
                assert_eq!(ran.ending, Err("disk: the disk is gone".to_owned()));
                assert_eq!(vouched, (String::new(), 0), "{journal}");
                assert_eq!(
                    seen.lock().unwrap().len(),
                    1,
                    "a failed sync is not tried again"
                );
            } else {
                assert_eq!(ran.ending, Ok(Ending::Complete));
                assert_eq!(vouched, ("3\nend\n".to_owned(), 3), "{journal}");
            }
        }
    }
}
