//! Tests of the publishing loop with a reader of its tee that takes nothing, or not all.

use std::{
    fs::File,
    io::{self, PipeReader, Read},
    os::fd::OwnedFd,
    thread,
    time::{Duration, Instant},
};

use super::tests::{Ran, Scripted, publish};
use crate::{
    io::{
        output::Output,
        stop::{Signal, Stop},
    },
    outcome::Ending,
    publish::Plan,
};

/// Long enough for any machine; nothing here takes it.
const LONG: Duration = Duration::from_mins(2);

fn pipe() -> (PipeReader, Output<File>) {
    let (reader, writer) = io::pipe().unwrap();
    let writer = File::from(OwnedFd::from(writer));
    (reader, Output::new("stdout", writer, false))
}

/// More than a pipe, the tee's buffer and the ledger hold together.
fn many() -> Vec<u8> {
    b"0123456789abcdef\n".repeat(400_000)
}

fn ran(stop: Stop, client: &mut Scripted, change: impl FnOnce(&mut Plan<File>)) -> Ran {
    publish(client, &many(), stop, |plan| {
        plan.acks = None;
        plan.checkpoint = None;
        plan.report = None;
        change(plan);
    })
}

#[test]
fn a_reader_that_takes_nothing_stops_the_reading_and_a_signal_ends_the_run() {
    let stop = Stop::manual().unwrap();
    let (reader, tee) = pipe();
    let mut client = Scripted::default();
    // It is polled on, though nothing more is read: with each poll 512 lines could be.
    client.stop_after_polls = Some((100, stop.clone()));
    let ran = ran(stop, &mut client, |plan| plan.tee = Some(tee));
    assert_eq!(ran.ending, Ok(Ending::Signal(Signal::Terminate)));
    let summary = ran.summary;
    // As many as are kept, and 128 KiB in the buffer and the pipe.
    assert!((16_384..30_000).contains(&summary.read), "{summary:?}");
    // What the client has taken is delivered; it is the next stage that lacks it.
    assert_eq!(summary.delivered, client.sent.len() as u64);
    assert_eq!(summary.read, summary.delivered + summary.rejected);
    let told = "stdout: its reader takes nothing: not all delivered records were written";
    assert!(ran.messages.contains(told), "{}", ran.messages);
    drop(reader);
}

#[test]
fn a_signal_while_the_last_lines_wait_for_a_reader_ends_the_run() {
    let stop = Stop::manual().unwrap();
    let (reader, tee) = pipe();
    let input = b"0123456789abcdef\n".repeat(8_000);
    let asking = {
        let stop = stop.clone();
        let watched = reader.try_clone().unwrap();
        thread::spawn(move || {
            let start = Instant::now();
            while rustix::io::ioctl_fionread(&watched).unwrap() < 32_768 {
                assert!(start.elapsed() < LONG);
                thread::yield_now();
            }
            stop.request(Signal::Interrupt);
        })
    };
    let ran = publish(&mut Scripted::default(), &input, stop, |plan| {
        plan.tee = Some(tee);
        plan.acks = None;
    });
    asking.join().unwrap();
    assert_eq!(ran.ending, Ok(Ending::Signal(Signal::Interrupt)));
    // Nobody has taken a line.
    assert_eq!(ran.checkpoint, 0);
    drop(reader);
}

#[test]
fn what_the_reader_did_not_take_is_not_acknowledged() {
    for leaves in [true, false] {
        let stop = Stop::manual().unwrap();
        let (mut reader, tee) = pipe();
        let input: String = (1..=5).fold(String::new(), |lines, seq| {
            lines + &format!("{{\"seq\":{seq},\"value\":{seq}}}\n")
        });
        let two: usize = input.lines().take(2).map(|line| line.len() + 1).sum();
        let reading = {
            let stop = stop.clone();
            thread::spawn(move || {
                let mut taken = vec![0; two + 3];
                reader.read_exact(&mut taken).unwrap();
                if leaves {
                    drop(reader);
                    return None;
                }
                stop.request(Signal::Terminate);
                Some(reader)
            })
        };
        let ran = publish(&mut Scripted::default(), input.as_bytes(), stop, |plan| {
            plan.envelope = true;
            plan.tee = Some(tee);
        });
        assert_eq!(ran.acks.lines().last(), Some("2"), "{}", ran.acks);
        assert_eq!((ran.checkpoint, ran.summary.delivered), (2, 5));
        if !leaves {
            assert_eq!(ran.ending, Ok(Ending::Signal(Signal::Terminate)));
        }
        drop(reading.join().unwrap());
    }
}

#[test]
fn a_slow_reader_gets_all_in_the_order_of_the_input() {
    let (reader, tee) = pipe();
    let reading = thread::spawn(move || {
        let mut reader = reader;
        let mut all = Vec::new();
        let mut block = [0; 4096];
        loop {
            match reader.read(&mut block).unwrap() {
                0 => return all,
                read => all.extend_from_slice(&block[..read]),
            }
            thread::yield_now();
        }
    });
    let stop = Stop::manual().unwrap();
    let ran = ran(stop, &mut Scripted::default(), |plan| plan.tee = Some(tee));
    assert_eq!(ran.ending, Ok(Ending::Complete));
    assert!(reading.join().unwrap() == many());
}
