//! One flag, one meaning: a short or long flag is the same thing in every tool that has it.

use std::collections::BTreeMap;

use tapline_testkit::Run;

const TOOLS: [&str; 7] = [
    "gen-sim",
    "schema-check",
    "mqtt-pub",
    "kafka-produce",
    "topic-tap",
    "influx-write",
    "dev-brokers",
];

/// A flag as `--help` lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Flag {
    short: Option<char>,
    long: Option<String>,
    /// The placeholder of its value; empty for a switch.
    value: String,
}

fn flags(tool: &str) -> Vec<Flag> {
    let help = Run::tool(tool).arg("-h").finish();
    help.assert_code(0);
    help.lines().into_iter().filter_map(read_flag).collect()
}

/// Reads `  -k, --key <FIELD>  What it does`.
fn read_flag(line: &str) -> Option<Flag> {
    // Further in stands the text of the flag above, which may begin with the name of another.
    let words = line
        .strip_prefix("      --")
        .map(|_| line.trim_start())
        .or_else(|| line.strip_prefix("  -").map(|_| line.trim_start()))?;
    let words = words.split("  ").next()?;
    let mut flag = Flag {
        short: None,
        long: None,
        value: String::new(),
    };
    for word in words.split([' ', ',']).filter(|word| !word.is_empty()) {
        if let Some(long) = word.strip_prefix("--") {
            flag.long = Some(long.trim_end_matches("...").to_owned());
        } else if let Some(short) = word.strip_prefix('-') {
            flag.short = short.chars().next();
        } else {
            word.clone_into(&mut flag.value);
        }
    }
    Some(flag)
}

#[test]
fn the_help_is_read_as_it_is_meant() {
    let flag = read_flag("  -k, --key <FIELD>  Field for the key").unwrap();
    assert_eq!(flag.short, Some('k'));
    assert_eq!(
        (flag.long.as_deref(), flag.value.as_str()),
        (Some("key"), "<FIELD>")
    );
    assert!(read_flag("  Tell errors only").is_none());
    for tool in TOOLS {
        assert!(flags(tool).len() >= 5, "{tool}: {:?}", flags(tool));
    }
}

#[test]
fn a_flag_means_one_thing_in_every_tool() {
    let mut shorts: BTreeMap<char, (Option<String>, &str)> = BTreeMap::new();
    let mut longs: BTreeMap<String, (Flag, &str)> = BTreeMap::new();
    for tool in TOOLS {
        for flag in flags(tool) {
            if let Some(short) = flag.short {
                let (long, other) = shorts
                    .entry(short)
                    .or_insert_with(|| (flag.long.clone(), tool));
                assert_eq!(*long, flag.long, "-{short} in {other} and in {tool}");
            }
            if let Some(long) = &flag.long {
                let (first, other) = longs
                    .entry(long.clone())
                    .or_insert_with(|| (flag.clone(), tool));
                assert_eq!(*first, flag, "--{long} in {other} and in {tool}");
            }
        }
    }
    for (short, long) in [
        ('k', "key"),
        ('H', "header"),
        ('J', "envelope"),
        ('s', "schema"),
        ('q', "quiet"),
        ('v', "verbose"),
    ] {
        assert_eq!(shorts[&short].0.as_deref(), Some(long), "design, section 9");
    }
}
