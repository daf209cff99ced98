//! Progress on a terminal: shown where it stands alone, and nowhere else.

use tapline_testkit::{LIMIT, Run, Running, wait_until};

/// A command in a shell on a terminal of its own; what the terminal shows is its stdout.
fn on_a_terminal(command: &str) -> Running {
    // Of util-linux: it makes the terminal.
    Run::shell(&format!("exec script -qec \"{command}\" /dev/null")).start()
}

fn shows_progress(running: &Running) -> bool {
    String::from_utf8_lossy(&running.stdout()).contains(" lines")
}

#[test]
fn a_tool_that_writes_to_a_file_shows_it() {
    let mut running = on_a_terminal("gen-sim --interval 100ms >/dev/null");
    wait_until(LIMIT, "progress is shown", || shows_progress(&running));
    assert!(!running.has_ended());
}

#[test]
fn a_tool_whose_neighbour_may_write_to_the_terminal_shows_none() {
    // Long enough for progress, were there any: 25 readings take two and a half seconds.
    for command in [
        "gen-sim --generators 1 --interval 100ms --count 25 | cat >/dev/null",
        "gen-sim --generators 1 --interval 100ms --count 25",
    ] {
        let running = on_a_terminal(command).wait();
        running.assert_code(0);
        let shown = running.text();
        assert!(shown.contains("25 written in"), "{shown}");
        assert!(!shown.contains(" lines"), "{shown}");
    }
}

#[test]
fn a_tool_in_the_background_shows_none() {
    let command = "set -m; gen-sim --generators 1 --interval 100ms --count 25 >/dev/null & wait";
    let running = on_a_terminal(command).wait();
    let shown = running.text();
    assert!(shown.contains("25 written in"), "{shown}");
    assert!(!shown.contains(" lines"), "{shown}");
}
