//! How many records a second one thread checks: `cargo bench -p tapline-contract`.
//!
//! Against it, on the same records, `serde_json` to a `Value` and the validator on that.

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use serde_json::Value;
use tapline_contract::schema::Schema;

const RECORDS: u32 = 1_000_000;

fn main() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/generator.schema.json");
    let schema = Schema::from_file(&path, &[]).expect("the generator's schema");
    let records: Vec<Vec<u8>> = (0..1000)
        .map(|number| {
            format!(
                r#"{{"generatorID":"generator{number}","lat":40.65995,"lon":-111.99{:03},"temperature":{},"pressure":198,"fuel":{}}}"#,
                number, number % 90, number
            )
            .into_bytes()
        })
        .collect();

    let mut validator = schema.validator();
    report("tape", || {
        for record in records.iter().cycle().take(RECORDS as usize) {
            validator.check(black_box(record)).expect("valid");
        }
    });

    let naive = jsonschema::validator_for(schema.document()).expect("the generator's schema");
    report("serde_json and jsonschema", || {
        for record in records.iter().cycle().take(RECORDS as usize) {
            let value: Value = serde_json::from_slice(black_box(record)).expect("JSON");
            assert!(naive.is_valid(&value));
        }
    });
    report("serde_json alone", || {
        for record in records.iter().cycle().take(RECORDS as usize) {
            black_box(serde_json::from_slice::<Value>(black_box(record)).expect("JSON"));
        }
    });
}

/// The best of five runs: the others were disturbed.
fn report(name: &str, mut run: impl FnMut()) {
    let best = (0..5)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .min()
        .expect("five runs");
    println!(
        "{name}: {:.0} records/s",
        f64::from(RECORDS) / best.as_secs_f64()
    );
}
