//! The commands of the README, typed as they stand: each block of shell runs, with the brokers that the
//! README says they have.

use std::{fmt::Write, fs, path::Path, time::Duration};

use tapline_testkit::{Run, temp_dir, tool};

/// The blocks that are fenced as `sh`, in order.
fn blocks(readme: &str) -> Vec<String> {
    let mut blocks: Vec<String> = Vec::new();
    let mut inside = false;
    for line in readme.lines() {
        match line {
            "```sh" => {
                inside = true;
                blocks.push(String::new());
            }
            "```" => inside = false,
            _ if inside => {
                let block = blocks.last_mut().expect("a block was begun");
                block.push_str(line);
                block.push('\n');
            }
            _ => {}
        }
    }
    blocks
}

#[test]
fn every_command_of_the_readme_works() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the package lies in the workspace");
    let readme = fs::read_to_string(root.join("README.md")).expect("the README");
    let blocks = blocks(&readme);
    assert!(blocks.len() >= 8, "found {} blocks only", blocks.len());
    let folder = temp_dir();
    std::os::unix::fs::symlink(root.join("schemas"), folder.path().join("schemas"))
        .expect("a link to the schemas");
    // The blocks build on each other, so they are one script; each tells where it begins.
    let mut script = String::from("set -eu\n");
    for (number, block) in blocks.iter().enumerate() {
        writeln!(
            script,
            "echo '== block {}' >&2
{block}",
            number + 1
        )
        .expect("a string takes it");
    }
    let tools = tool("dev-brokers").parent().expect("a folder").to_owned();
    let path = std::env::var("PATH").unwrap_or_default();
    let ran = Run::tool("dev-brokers")
        .args(["--topic", "readings", "--", "bash", "-c", &script])
        .env("PATH", format!("{}:{path}", tools.display()))
        .current_dir(folder.path())
        .limit(Duration::from_mins(3))
        .finish();
    ran.assert_code(0);
    let output = ran.text();
    assert!(
        output.contains("\n100000\n"),
        "gen-sim's hundred thousand:\n{output}"
    );
    assert!(
        output.contains("\n1000\n"),
        "the thousand tapped from Kafka:\n{output}"
    );
    assert!(
        output.contains(r#""reason":"invalid""#),
        "the reject:\n{output}"
    );
    assert!(
        output.contains(r#""source":"kafka""#),
        "the envelopes:\n{output}"
    );
    ran.assert_stderr("500 read, 500 delivered, 0 rejected");
}
